STUDENTS = [f"{RESULTS}/distilled/{teacher}/{seed}.safetensors" for teacher, seed in plan.students]


# On standard input, and the students by their folder: of a thousand teachers, both are longer than a word may be.
rule distillation:
    input:
        sat=ancient(f"{RESULTS}/similarity/sat.csv"),
        sat_sidecar=f"{RESULTS}/similarity/sat.csv.json",
        models=ancient(f"{RESULTS}/similarity/models.csv"),
        models_sidecar=f"{RESULTS}/similarity/models.csv.json",
        students=ancient(STUDENTS),
        students_sidecars=sidecars(STUDENTS),
    output:
        distillation=report(
            f"{RESULTS}/analysis/distillation.csv",
            category="Distillation",
            labels={"what": "gain with each teacher", "kind": "table"},
            caption="../report/distillation.rst",
        ),
        distillation_sidecar=f"{RESULTS}/analysis/distillation.csv.json",
        relation=report(
            f"{RESULTS}/analysis/distillation_relation.csv",
            category="Distillation",
            labels={"what": "gain and SAT", "kind": "table"},
            caption="../report/distillation_relation.rst",
        ),
        relation_sidecar=f"{RESULTS}/analysis/distillation_relation.csv.json",
        figure=report(
            f"{RESULTS}/figures/distillation.svg",
            category="Distillation",
            labels={"what": "gain and SAT", "kind": "figure"},
            caption="../report/distillation_figure.rst",
        ),
        figure_sidecar=f"{RESULTS}/figures/distillation.svg.json",
    log:
        f"{RESULTS}/logs/analysis/distillation.log",
    benchmark:
        f"{RESULTS}/benchmarks/analysis/distillation.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
        gpu=0,
        students=f"{RESULTS}/distilled",
    params:
        step=plan.distillation.json,
    shell:
        """
        python -m sat distillation --step - --sat {input.sat:q} --models {input.models:q} \
            --students {resources.students:q} --distillation {output.distillation:q} --relation {output.relation:q} \
            --figure {output.figure:q} 2>{log:q} <<'STEP'
{params.step}
STEP
        """
