# Three ways to one path, chosen by the column `weights` of the model table: train, hub, or the
# path of a checkpoint. Each ends as weights/<model>.safetensors, with its blueprint inside.
# Here is train; the other two come beside it, with their own wildcard constraint.


rule train:
    input:
        images=ancient(f"{RESULTS}/images/train.h5"),
        images_sidecar=f"{RESULTS}/images/train.h5.json",
    output:
        weights=f"{RESULTS}/weights/{{model}}.safetensors",
        sidecar=f"{RESULTS}/weights/{{model}}.safetensors.json",
    log:
        f"{RESULTS}/logs/weights/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/weights/{{model}}.tsv"
    wildcard_constraints:
        model=models_with_weights("train"),
    conda:
        "../../envs/sat.yaml"
    threads: compute.threads
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
        gpu=gpus,
        device=compute.device,
        batch=compute.batch_size,
    params:
        step=lambda wildcards: plan.weights(wildcards.model).json,
    shell:
        "python -m sat weights --step {params.step:q} --images {input.images:q} --out {output.weights:q}"
        " --device {resources.device} --threads {threads} --batch {resources.batch} 2> {log:q}"
