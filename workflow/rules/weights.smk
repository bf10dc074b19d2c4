# Three ways to one path, chosen by the column `weights` of the model table: train, hub, or the
# path of a checkpoint. Each ends as weights/<model>.safetensors, with its blueprint inside. Where a
# model is fine-tuned, what the hub or the checkpoint gives goes to pretrained/ and train starts from there.
# So many downloads at once, unless --resources downloads=N says otherwise.
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


# Compute nodes may have no internet, so this runs where Snakemake itself runs. It retries by itself.
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


# The step holds the checkpoint's digest, so another one at the same path reruns this, and a moved one does not.
rule checkpoint:
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
        command("checkpoint --checkpoint {resources.checkpoint:q} --out {output.weights:q}")
