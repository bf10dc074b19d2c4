rule clean:
    input:
        **made(
            weights="weights/{model}.safetensors",
            attack_images="images/attack.h5",
            eval_images="images/eval.h5",
        ),
    output:
        **makes(clean="clean/{model}.h5"),
    log:
        f"{RESULTS}/logs/clean/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/clean/{{model}}.tsv"
    conda:
        ENV
    threads: compute.threads
    resources:
        **needs(lambda wildcards: forecast.clean(wildcards.model), GPU),
    params:
        step=lambda wildcards: plan.clean(wildcards.model).json,
    shell:
        command(
            "clean --weights {input.weights:q} --attack-images {input.attack_images:q}"
            " --eval-images {input.eval_images:q} --out {output.clean:q}",
            COMPUTE,
        )


# The gate is separate from clean, so that another min_accuracy reruns only gates.
rule gate:
    input:
        **made(clean="clean/{model}.h5"),
    output:
        gate=f"{RESULTS}/clean/{{model}}.gate.json",
    log:
        f"{RESULTS}/logs/gate/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/gate/{{model}}.tsv"
    localrule: True
    conda:
        ENV
    resources:
        **needs(Needs(500, 5)),
    params:
        step=lambda wildcards: plan.gate(wildcards.model).json,
    shell:
        command("gate --clean {input.clean:q} --out {output.gate:q}")
