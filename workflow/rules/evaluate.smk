rule evaluate:
    input:
        **made(images="images/attack.h5", weights=weights_of, adversarial=adversarial_of),
    output:
        **makes(tile="{variant}tiles/{target}/{source}.h5"),
    log:
        f"{RESULTS}/logs/{{variant}}evaluate/{{target}}/{{source}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{variant}}evaluate/{{target}}/{{source}}.tsv"
    conda:
        ENV
    threads: compute.threads
    resources:
        **needs(lambda wildcards: forecast.tile(wildcards.target, wildcards.source, variant_of(wildcards)), GPU),
    params:
        step=lambda wildcards: plan.tile(wildcards.target, wildcards.source, variant_of(wildcards)).json,
    shell:
        command(
            "evaluate --images {input.images:q} --weights {input.weights:q}"
            " --adversarial {input.adversarial:q} --out {output.tile:q}",
            COMPUTE,
        )
