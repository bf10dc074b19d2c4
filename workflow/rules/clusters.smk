# One rule an analysis, each from the matrix or the pair table to tables under analysis/.


rule clusters:
    input:
        sat=ancient(f"{RESULTS}/similarity/sat.csv"),
        sat_sidecar=f"{RESULTS}/similarity/sat.csv.json",
    output:
        clusters=report(
            f"{RESULTS}/analysis/clusters.csv",
            category="Families",
            labels={"what": "clusters", "kind": "table"},
            caption="../report/clusters.rst",
        ),
        clusters_sidecar=f"{RESULTS}/analysis/clusters.csv.json",
        features=f"{RESULTS}/analysis/spectral_features.csv",
        features_sidecar=f"{RESULTS}/analysis/spectral_features.csv.json",
        tsne=f"{RESULTS}/analysis/tsne.csv",
        tsne_sidecar=f"{RESULTS}/analysis/tsne.csv.json",
        choose_k=report(
            f"{RESULTS}/analysis/choose_k.csv",
            category="Families",
            labels={"what": "what speaks for each number of clusters", "kind": "table"},
            caption="../report/choose_k.rst",
        ),
        choose_k_sidecar=f"{RESULTS}/analysis/choose_k.csv.json",
        membership=report(
            f"{RESULTS}/analysis/membership.csv",
            category="Families",
            labels={"what": "how firmly models belong, over starts", "kind": "table"},
            caption="../report/membership.rst",
        ),
        membership_sidecar=f"{RESULTS}/analysis/membership.csv.json",
    log:
        f"{RESULTS}/logs/analysis/clusters.log",
    benchmark:
        f"{RESULTS}/benchmarks/analysis/clusters.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
        gpu=0,
    params:
        step=plan.clusters.json,
    shell:
        "python -m sat clusters --step {params.step:q} --sat {input.sat:q} --clusters {output.clusters:q}"
        " --features {output.features:q} --tsne {output.tsne:q} --choose-k {output.choose_k:q}"
        " --membership {output.membership:q} 2> {log:q}"
