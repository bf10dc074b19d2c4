rule evaluate:
    input:
        images=ancient(f"{RESULTS}/images/attack.h5"),
        images_sidecar=f"{RESULTS}/images/attack.h5.json",
        weights=ancient(lambda wildcards: weights_of(wildcards.target)),
        weights_sidecars=lambda wildcards: sidecars(weights_of(wildcards.target)),
        adversarial=ancient(adversarial_of),
        adversarial_sidecars=lambda wildcards: sidecars(adversarial_of(wildcards)),
    output:
        tile=f"{RESULTS}/{{variant}}tiles/{{target}}/{{source}}.h5",
        sidecar=f"{RESULTS}/{{variant}}tiles/{{target}}/{{source}}.h5.json",
    log:
        f"{RESULTS}/logs/{{variant}}evaluate/{{target}}/{{source}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{variant}}evaluate/{{target}}/{{source}}.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: compute.threads
    resources:
        mem_mb=lambda wildcards, attempt: tile_needs(wildcards).grow(attempt).mem_mb,
        runtime=lambda wildcards, attempt: tile_needs(wildcards).grow(attempt).minutes,
        gpu=GPUS,
        gres=GRES,
        gpu_jobs=GPU_JOBS,
        jobs_per_gpu=JOBS_PER_GPU,
        device=compute.device,
        batch=compute.batch_size,
    params:
        step=lambda wildcards: plan.tile(wildcards.target, wildcards.source, variant_of(wildcards)).json,
    shell:
        "python -m sat evaluate --step {params.step:q} --images {input.images:q} --weights {input.weights:q}"
        " --adversarial {input.adversarial:q} --out {output.tile:q}"
        " --device {resources.device} --threads {threads} --batch {resources.batch}"
        " --jobs-per-gpu {resources.jobs_per_gpu} 2> {log:q}"
