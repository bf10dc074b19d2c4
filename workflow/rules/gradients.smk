# Only for the measures that compare gradients.
rule gradients:
    input:
        **made(weights="weights/{model}.safetensors", images="images/attack.h5"),
    output:
        **makes(gradients="gradients/{model}.h5"),
    log:
        f"{RESULTS}/logs/gradients/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/gradients/{{model}}.tsv"
    conda:
        ENV
    threads: compute.threads
    resources:
        **needs(lambda wildcards: forecast.gradients(wildcards.model), GPU),
    params:
        step=lambda wildcards: plan.gradients(wildcards.model).json,
    shell:
        command("gradients --weights {input.weights:q} --images {input.images:q} --out {output.gradients:q}", COMPUTE)
