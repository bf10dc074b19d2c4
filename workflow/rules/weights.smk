# Three ways to one path, chosen by the column `weights` of the model table: train, hub, or the
# path of a checkpoint. Each ends as weights/<model>.safetensors, with its blueprint inside. Where a
# model is fine-tuned, what the hub or the checkpoint gives goes to pretrained/ and train starts from there.
localrules:
    hub,
    checkpoint,


# So many downloads at once, unless --resources downloads=N says otherwise.
if "downloads" not in workflow.global_resources:
    workflow.register_resource("downloads", 4)


rule train:
    input:
        images=ancient(f"{RESULTS}/images/train.h5"),
        images_sidecar=f"{RESULTS}/images/train.h5.json",
        pretrained=lambda wildcards: ancient(start_of(wildcards.model)),
        pretrained_sidecar=lambda wildcards: sidecars(start_of(wildcards.model)),
    output:
        weights=f"{RESULTS}/weights/{{model}}.safetensors",
        sidecar=f"{RESULTS}/weights/{{model}}.safetensors.json",
    log:
        f"{RESULTS}/logs/weights/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/weights/{{model}}.tsv"
    wildcard_constraints:
        model=any_of(model for model in plan.needed if study.trained(model)),
    conda:
        "../../envs/sat.yaml"
    threads: compute.threads
    resources:
        mem_mb=lambda wildcards, attempt: forecast.train(wildcards.model).grow(attempt).mem_mb,
        runtime=lambda wildcards, attempt: forecast.train(wildcards.model).grow(attempt).minutes,
        gpu=GPUS,
        gres=GRES,
        gpu_jobs=GPU_JOBS,
        jobs_per_gpu=JOBS_PER_GPU,
        device=compute.device,
        batch=compute.batch_size,
    params:
        step=lambda wildcards: plan.weights(wildcards.model).json,
    shell:
        "python -m sat train --step {params.step:q} --images {input.images:q}"
        " --pretrained {input.pretrained:q} --out {output.weights:q}"
        " --device {resources.device} --threads {threads} --batch {resources.batch}"
        " --jobs-per-gpu {resources.jobs_per_gpu} 2> {log:q}"


# Compute nodes may have no internet, so this runs where Snakemake itself runs. It retries by itself.
rule hub:
    output:
        weights=f"{RESULTS}/{{place}}.safetensors",
        sidecar=f"{RESULTS}/{{place}}.safetensors.json",
    log:
        f"{RESULTS}/logs/{{place}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{place}}.tsv"
    wildcard_constraints:
        place=any_of(plan.given("hub")),
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: forecast.weights(model_at(wildcards.place)).grow(attempt).mem_mb,
        runtime=lambda wildcards, attempt: forecast.weights(model_at(wildcards.place)).grow(attempt).minutes,
        gpu=0,
        downloads=1,
    params:
        step=lambda wildcards: plan.pretrained(model_at(wildcards.place)).json,
    shell:
        "python -m sat hub --step {params.step:q} --out {output.weights:q} 2> {log:q}"


# The step holds the checkpoint's digest, so another one at the same path reruns this, and a moved one does not.
rule checkpoint:
    output:
        weights=f"{RESULTS}/{{place}}.safetensors",
        sidecar=f"{RESULTS}/{{place}}.safetensors.json",
    log:
        f"{RESULTS}/logs/{{place}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{place}}.tsv"
    wildcard_constraints:
        place=any_of(plan.given("checkpoint")),
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: forecast.weights(model_at(wildcards.place)).grow(attempt).mem_mb,
        runtime=lambda wildcards, attempt: forecast.weights(model_at(wildcards.place)).grow(attempt).minutes,
        gpu=0,
        checkpoint=lambda wildcards: user_file(model_at(wildcards.place)),
    params:
        step=lambda wildcards: plan.pretrained(model_at(wildcards.place)).json,
    shell:
        "python -m sat checkpoint --step {params.step:q} --checkpoint {resources.checkpoint:q}"
        " --out {output.weights:q} 2> {log:q}"
