report: "../report/study.rst"


rule figures:
    input:
        # Of pairs and models: what a matrix alone does not say.
        similarity=ancient(SIMILARITY),
        similarity_sidecars=sidecars(SIMILARITY),
        sat=ancient(f"{RESULTS}/similarity/sat.csv"),
        sat_sidecar=f"{RESULTS}/similarity/sat.csv.json",
        clusters=ancient(f"{RESULTS}/analysis/clusters.csv"),
        clusters_sidecar=f"{RESULTS}/analysis/clusters.csv.json",
        features=ancient(f"{RESULTS}/analysis/spectral_features.csv"),
        features_sidecar=f"{RESULTS}/analysis/spectral_features.csv.json",
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
        tsne_components=report(
            f"{RESULTS}/figures/tsne_components.svg",
            category="Families",
            labels={"what": "t-SNE by component", "kind": "figure"},
            caption="../report/tsne_components.rst",
        ),
        tsne_components_sidecar=f"{RESULTS}/figures/tsne_components.svg.json",
        distances=report(
            f"{RESULTS}/figures/distances.svg",
            category="Families",
            labels={"what": "distances of spectral features", "kind": "figure"},
            caption="../report/distances.rst",
        ),
        distances_sidecar=f"{RESULTS}/figures/distances.svg.json",
        dendrogram=report(
            f"{RESULTS}/figures/dendrogram.svg",
            category="Families",
            labels={"what": "dendrogram", "kind": "figure"},
            caption="../report/dendrogram.rst",
        ),
        dendrogram_sidecar=f"{RESULTS}/figures/dendrogram.svg.json",
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
        """
        python -m sat figures --step - --sat {input.sat:q} --similarity {input.similarity:q} \
            --clusters {input.clusters:q} --features {input.features:q} --tsne {input.tsne:q} \
            --cluster-map {output.clustermap:q} --tsne-figure {output.tsne:q} \
            --tsne-components {output.tsne_components:q} \
            --distances {output.distances:q} --dendrogram {output.dendrogram:q} 2>{log:q} <<'STEP'
{params.step}
STEP
        """
