# On standard input: of a thousand models, the step is longer than a word may be.
rule ensembles:
    input:
        sat=ancient(f"{RESULTS}/similarity/sat.csv"),
        sat_sidecar=f"{RESULTS}/similarity/sat.csv.json",
        clusters=ancient(f"{RESULTS}/analysis/clusters.csv"),
        clusters_sidecar=f"{RESULTS}/analysis/clusters.csv.json",
        eval_images=ancient(f"{RESULTS}/images/eval.h5"),
        eval_images_sidecar=f"{RESULTS}/images/eval.h5.json",
        clean=ancient(CLEAN),
        clean_sidecars=sidecars(CLEAN),
    output:
        ensembles=f"{RESULTS}/analysis/ensembles.csv",
        ensembles_sidecar=f"{RESULTS}/analysis/ensembles.csv.json",
        relation=report(
            f"{RESULTS}/analysis/ensembles_relation.csv",
            category="Ensembles",
            labels={"what": "gain and SAT", "kind": "table"},
            caption="../report/ensembles_relation.rst",
        ),
        relation_sidecar=f"{RESULTS}/analysis/ensembles_relation.csv.json",
        by_clusters=report(
            f"{RESULTS}/analysis/ensembles_clusters.csv",
            category="Ensembles",
            labels={"what": "gain by number of clusters", "kind": "table"},
            caption="../report/ensembles_clusters.rst",
        ),
        by_clusters_sidecar=f"{RESULTS}/analysis/ensembles_clusters.csv.json",
        figure=report(
            f"{RESULTS}/figures/ensembles.svg",
            category="Ensembles",
            labels={"what": "gain and SAT", "kind": "figure"},
            caption="../report/ensembles_figure.rst",
        ),
        figure_sidecar=f"{RESULTS}/figures/ensembles.svg.json",
    log:
        f"{RESULTS}/logs/analysis/ensembles.log",
    benchmark:
        f"{RESULTS}/benchmarks/analysis/ensembles.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
        gpu=0,
    params:
        step=plan.ensembles.json,
    shell:
        """
        python -m sat ensembles --step - --sat {input.sat:q} --clusters {input.clusters:q} \
            --eval-images {input.eval_images:q} --clean {input.clean:q} --ensembles {output.ensembles:q} \
            --relation {output.relation:q} --by-clusters {output.by_clusters:q} --figure {output.figure:q} \
            2>{log:q} <<'STEP'
{params.step}
STEP
        """
