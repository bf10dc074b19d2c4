# Weights come from one of four rules. The column `weights` of the model table chooses: train, hub, code, or the path of
# a checkpoint. Each rule writes weights/<model>.safetensors, which contains the blueprint. If a model is fine-tuned,
# its own weights go to pretrained/, and train starts from there.
# At most four downloads run at once, unless --resources downloads=N sets another number.
if "downloads" not in workflow.global_resources:
    workflow.register_resource("downloads", 4)


rule train:
    input:
        **made(images="images/train.h5", pretrained=start_of),
    output:
        **makes(weights="weights/{model}.safetensors"),
    log:
        f"{RESULTS}/logs/weights/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/weights/{{model}}.tsv"
    wildcard_constraints:
        model=any_of(model for model in plan.needed if study.trained(model)),
    conda:
        ENV
    threads: compute.threads
    resources:
        **needs(lambda wildcards: forecast.train(wildcards.model), GPU),
    params:
        step=lambda wildcards: plan.weights(wildcards.model).json,
    shell:
        command(
            "train --images {input.images:q} --pretrained {input.pretrained:q} --out {output.weights:q}",
            COMPUTE,
        )


# Compute nodes may have no internet access, so this runs where Snakemake itself runs. The command retries by itself.
rule hub:
    output:
        **makes(weights="{place}.safetensors"),
    log:
        f"{RESULTS}/logs/{{place}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{place}}.tsv"
    wildcard_constraints:
        place=any_of(plan.given("hub")),
    localrule: True
    conda:
        ENV
    resources:
        **needs(lambda wildcards: forecast.weights(model_at(wildcards.place))),
        downloads=1,
    params:
        step=lambda wildcards: plan.pretrained(model_at(wildcards.place)).json,
    shell:
        command("hub --out {output.weights:q}")


# The step holds the checkpoint's digest. So another checkpoint at the same path reruns this, and moving it does not.
rule checkpoint:
    input:
        **made(manifest=classes_of),
    output:
        **makes(weights="{place}.safetensors"),
    log:
        f"{RESULTS}/logs/{{place}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{place}}.tsv"
    wildcard_constraints:
        place=any_of(plan.given("checkpoint")),
    localrule: True
    conda:
        ENV
    resources:
        **needs(lambda wildcards: forecast.weights(model_at(wildcards.place))),
        checkpoint=lambda wildcards: user_file(model_at(wildcards.place)),
    params:
        step=lambda wildcards: plan.pretrained(model_at(wildcards.place)).json,
    shell:
        command(
            "checkpoint --manifest {input.manifest:q} --checkpoint {resources.checkpoint:q} --out {output.weights:q}"
        )


# A code file may fetch weights, so this runs where Snakemake itself runs, as `hub` does.
rule code:
    input:
        **made(manifest=classes_of),
    output:
        **makes(weights="{place}.safetensors"),
    log:
        f"{RESULTS}/logs/{{place}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{place}}.tsv"
    wildcard_constraints:
        place=any_of(plan.given("code")),
    localrule: True
    conda:
        ENV
    resources:
        **needs(lambda wildcards: forecast.weights(model_at(wildcards.place))),
        downloads=1,
    params:
        step=lambda wildcards: plan.pretrained(model_at(wildcards.place)).json,
    shell:
        command("code --manifest {input.manifest:q} --out {output.weights:q}")
