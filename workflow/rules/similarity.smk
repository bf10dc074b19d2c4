CLEAN = [f"{RESULTS}/clean/{model}.h5" for model in study.used]
TILES = [f"{RESULTS}/tiles/{target}/{source}.h5" for target, source in plan.used_tiles]


rule similarity:
    input:
        images=ancient(f"{RESULTS}/images/attack.h5"),
        images_sidecar=f"{RESULTS}/images/attack.h5.json",
        clean=ancient(CLEAN),
        clean_sidecars=sidecars(CLEAN),
        tiles=ancient(TILES),
        tiles_sidecars=sidecars(TILES),
    output:
        pairs=f"{RESULTS}/similarity/pairs.parquet",
        pairs_sidecar=f"{RESULTS}/similarity/pairs.parquet.json",
        sat=report(
            f"{RESULTS}/similarity/sat.csv",
            category="Similarity",
            labels={"what": "SAT matrix", "kind": "table"},
            caption="../report/sat.rst",
        ),
        sat_sidecar=f"{RESULTS}/similarity/sat.csv.json",
        most_similar=report(
            f"{RESULTS}/similarity/most_similar.csv",
            category="Similarity",
            labels={"what": "most similar pairs", "kind": "table"},
            caption="../report/most_similar.rst",
        ),
        most_similar_sidecar=f"{RESULTS}/similarity/most_similar.csv.json",
        models=report(
            f"{RESULTS}/similarity/models.csv",
            category="Models",
            labels={"what": "accuracy and white-box success", "kind": "table"},
            caption="../report/models.rst",
        ),
        models_sidecar=f"{RESULTS}/similarity/models.csv.json",
    log:
        f"{RESULTS}/logs/similarity/similarity.log",
    benchmark:
        f"{RESULTS}/benchmarks/similarity/similarity.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
        gpu=0,
    params:
        step=plan.similarity.json,
    shell:
        "python -m sat similarity --step {params.step:q} --images {input.images:q} --clean {input.clean:q}"
        " --tiles {input.tiles:q} --pairs {output.pairs:q} --sat {output.sat:q}"
        " --most-similar {output.most_similar:q} --models {output.models:q} 2> {log:q}"
