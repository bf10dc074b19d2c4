rule attack:
    input:
        **made(weights="weights/{model}.safetensors", images="images/attack.h5", clean="clean/{model}.h5"),
        gate=gate_of,
    output:
        **makes(adversarial=f"{VARIANT}adversarial/{{model}}.h5"),
    log:
        f"{RESULTS}/logs/{VARIANT}attack/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{VARIANT}attack/{{model}}.tsv"
    conda:
        ENV
    threads: compute.threads
    resources:
        **needs(lambda wildcards: forecast.attack(wildcards.model, variant_of(wildcards)), GPU),
    params:
        step=lambda wildcards: plan.adversarial(wildcards.model, variant_of(wildcards)).json,
    shell:
        command(
            "attack --weights {input.weights:q} --images {input.images:q} --clean {input.clean:q}"
            " --out {output.adversarial:q}",
            COMPUTE,
        )
