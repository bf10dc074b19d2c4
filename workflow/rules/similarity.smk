rule similarity:
    input:
        **made(
            images="images/attack.h5",
            clean=[f"clean/{model}.h5" for model in study.used],
            tiles=lambda wildcards: paths_of(plan.used_tiles_of(variant_of(wildcards))),
        ),
    output:
        **makes(
            pairs=f"{VARIANT}similarity/pairs.parquet",
            sat=(f"{VARIANT}similarity/sat.csv", Shown("Similarity", "SAT matrix")),
            affinity=(f"{VARIANT}similarity/affinity.csv", Shown("Similarity", "affinity matrix")),
            most_similar=(f"{VARIANT}similarity/most_similar.csv", Shown("Similarity", "most similar pairs")),
            models=(f"{VARIANT}similarity/models.csv", Shown("Models", "accuracy and white-box success")),
        ),
    log:
        f"{RESULTS}/logs/{VARIANT}similarity/similarity.log",
    benchmark:
        f"{RESULTS}/benchmarks/{VARIANT}similarity/similarity.tsv"
    conda:
        ENV
    resources:
        **needs(Needs(4000, 30)),
    params:
        step=lambda wildcards: plan.similarity(variant_of(wildcards))[0].json,
    shell:
        command(
            "similarity --images {input.images:q} --clean {input.clean:q} --tiles {input.tiles:q}"
            " --pairs {output.pairs:q} --sat {output.sat:q} --affinity {output.affinity:q} --most-similar {output.most_similar:q}"
            " --models {output.models:q}",
        )
