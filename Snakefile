from snakemake.utils import min_version

min_version("9.27")


include: "workflow/rules/common.smk"
include: "workflow/rules/study.smk"


# A matrix is computed, or is there already.
if study.config.matrix:

    include: "workflow/rules/matrix.smk"

else:

    include: "workflow/rules/images.smk"
    include: "workflow/rules/weights.smk"
    include: "workflow/rules/clean.smk"
    include: "workflow/rules/gradients.smk"
    include: "workflow/rules/attack.smk"
    include: "workflow/rules/evaluate.smk"
    include: "workflow/rules/similarity.smk"


if study.config.distillation:

    include: "workflow/rules/distil.smk"


include: "workflow/rules/analyses.smk"
include: "workflow/rules/report.smk"


# The default target, unless a workflow that uses this one as a module has one already.
rule all:
    input:
        results("study.json"),
        results("similarity/sat.csv"),
        results([f"clean/{model}.gate.json" for model in plan.needed]),
        results([path for unit in plan.analyses.values() for path in unit.outputs]),
        results(["report/atlas.html", "report/landing.rst"]),
        results(["provenance/ro-crate-metadata.json", "provenance/Snakefile"]),


# Every run that has something to do is recorded in results/<study>/provenance/history.jsonl.
onstart:
    if history:
        history.start(sys.argv, counted(workflow.dag.needrun_jobs()))


onsuccess:
    record_end(whole=True)


# A gate stops the run at the first model that is not accurate enough. All that are known to be so are listed here.
onerror:
    record_end(whole=False)
    if study.config.on_low_accuracy == "stop":
        from sat.status.accuracies import about_accuracies

        for line in about_accuracies(plan, Path(RESULTS)):
            logger.error(line)
