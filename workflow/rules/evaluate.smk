rule evaluate:
    input:
        **made(images="images/attack.h5"),
        **vouched(
            weights=lambda wildcards: paths_of(tile_of(wildcards).inputs["weights"]),
            adversarial=lambda wildcards: paths_of(tile_of(wildcards).inputs["adversarial"]),
        ),
    output:
        **makes(tile=f"{VARIANT}tiles/{{target}}/{{source}}.h5"),
    log:
        f"{RESULTS}/logs/{VARIANT}evaluate/{{target}}/{{source}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{VARIANT}evaluate/{{target}}/{{source}}.tsv"
    conda:
        ENV
    threads: compute.threads
    resources:
        **needs(lambda wildcards: forecast.tile(wildcards.target, wildcards.source, variant_of(wildcards)), GPU),
    params:
        step=lambda wildcards: tile_of(wildcards).json,
    shell:
        command(
            "evaluate --images {input.images:q} --out {output.tile:q}",
            COMPUTE,
            groups=["weights", "adversarial"],
        )
