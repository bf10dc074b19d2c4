MATRICES = {
    "sat": ("{variant}similarity/sat.csv", Shown("Similarity", "SAT matrix")),
    "affinity": ("{variant}similarity/affinity.csv", Shown("Similarity", "affinity matrix")),
}


rule similarity:
    input:
        **made(
            images="images/attack.h5",
            clean=[f"clean/{model}.h5" for model in study.used],
            tiles=lambda wildcards: paths_of(plan.used_tiles_of(variant_of(wildcards))),
        ),
    output:
        **makes(
            pairs="{variant}similarity/pairs.parquet",
            **({} if study.landmarks else MATRICES),
            most_similar=("{variant}similarity/most_similar.csv", Shown("Similarity", "most similar pairs")),
            models=("{variant}similarity/models.csv", Shown("Models", "accuracy and white-box success")),
        ),
    log:
        f"{RESULTS}/logs/{{variant}}similarity/similarity.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{variant}}similarity/similarity.tsv"
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
            **made(pairs="{variant}similarity/pairs.parquet"),
        output:
            **makes(
                **MATRICES,
                estimated=("{variant}similarity/estimated.csv", Shown("Similarity", "estimated pairs")),
                landmarks=(
                    "{variant}similarity/landmarks.csv",
                    Shown("Similarity", "errors of the estimates by model"),
                ),
            ),
        log:
            f"{RESULTS}/logs/{{variant}}similarity/estimate.log",
        benchmark:
            f"{RESULTS}/benchmarks/{{variant}}similarity/estimate.tsv"
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
