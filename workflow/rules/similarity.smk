MATRICES = {
    "sat": (f"{VARIANT}similarity/sat.csv", Shown("Similarity", "SAT matrix")),
    "affinity": (f"{VARIANT}similarity/affinity.csv", Shown("Similarity", "affinity matrix")),
}


rule similarity:
    input:
        **made(
            images="images/attack.h5",
            clean=clean_of_all,
            tiles=lambda wildcards: paths_of(plan.used_tiles_of(variant_of(wildcards))),
        ),
    output:
        **makes(
            pairs=f"{VARIANT}similarity/pairs.parquet",
            **({} if study.landmarks else MATRICES),
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
            " --pairs {output.pairs:q} --most-similar {output.most_similar:q} --models {output.models:q}",
            "" if study.landmarks else "--sat {output.sat:q} --affinity {output.affinity:q}",
        )


# Where a study has landmarks, pairs without one are not measured.
if study.landmarks:

    rule estimate:
        input:
            **made(pairs=f"{VARIANT}similarity/pairs.parquet"),
        output:
            **makes(
                **MATRICES,
                estimated=(f"{VARIANT}similarity/estimated.csv", Shown("Similarity", "estimated pairs")),
                landmarks=(
                    f"{VARIANT}similarity/landmarks.csv",
                    Shown("Similarity", "errors of the estimates by model"),
                ),
            ),
        log:
            f"{RESULTS}/logs/{VARIANT}similarity/estimate.log",
        benchmark:
            f"{RESULTS}/benchmarks/{VARIANT}similarity/estimate.tsv"
        conda:
            ENV
        resources:
            **needs(Needs(4000, 30)),
        params:
            step=lambda wildcards: plan.similarity(variant_of(wildcards))[plan.similarity_files.index("sat.csv")].json,
        shell:
            command(
                "estimate --pairs {input.pairs:q} --sat {output.sat:q} --affinity {output.affinity:q}"
                " --estimated {output.estimated:q} --landmarks {output.landmarks:q}"
            )
