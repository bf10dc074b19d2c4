report: "../report/study.rst"


rule figures:
    input:
        sat=ancient(f"{RESULTS}/similarity/sat.csv"),
        sat_sidecar=f"{RESULTS}/similarity/sat.csv.json",
        most_similar=ancient(f"{RESULTS}/similarity/most_similar.csv"),
        most_similar_sidecar=f"{RESULTS}/similarity/most_similar.csv.json",
        models=ancient(f"{RESULTS}/similarity/models.csv"),
        models_sidecar=f"{RESULTS}/similarity/models.csv.json",
        clusters=ancient(f"{RESULTS}/analysis/clusters.csv"),
        clusters_sidecar=f"{RESULTS}/analysis/clusters.csv.json",
        tsne=ancient(f"{RESULTS}/analysis/tsne.csv"),
        tsne_sidecar=f"{RESULTS}/analysis/tsne.csv.json",
    output:
        clustermap=report(
            f"{RESULTS}/figures/clustermap.svg",
            category="Similarity",
            labels={"what": "SAT matrix", "kind": "figure"},
            caption="../report/clustermap.rst",
        ),
        clustermap_sidecar=f"{RESULTS}/figures/clustermap.svg.json",
        tsne=report(
            f"{RESULTS}/figures/tsne.svg",
            category="Families",
            labels={"what": "t-SNE of spectral features", "kind": "figure"},
            caption="../report/tsne.rst",
        ),
        tsne_sidecar=f"{RESULTS}/figures/tsne.svg.json",
    log:
        f"{RESULTS}/logs/report/figures.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/figures.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
        gpu=0,
    params:
        step=plan.figures.json,
    shell:
        "python -m sat figures --step {params.step:q} --sat {input.sat:q} --most-similar {input.most_similar:q}"
        " --models {input.models:q} --clusters {input.clusters:q} --tsne {input.tsne:q}"
        " --cluster-map {output.clustermap:q} --tsne-figure {output.tsne:q} 2> {log:q}"
