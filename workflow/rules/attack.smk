rule attack:
    input:
        weights=ancient(f"{RESULTS}/weights/{{model}}.safetensors"),
        weights_sidecar=f"{RESULTS}/weights/{{model}}.safetensors.json",
        images=ancient(f"{RESULTS}/images/attack.h5"),
        images_sidecar=f"{RESULTS}/images/attack.h5.json",
        clean=ancient(f"{RESULTS}/clean/{{model}}.h5"),
        clean_sidecar=f"{RESULTS}/clean/{{model}}.h5.json",
        gate=ancient(f"{RESULTS}/clean/{{model}}.gate.json"),
    output:
        adversarial=f"{RESULTS}/{{variant}}adversarial/{{model}}.h5",
        sidecar=f"{RESULTS}/{{variant}}adversarial/{{model}}.h5.json",
    log:
        f"{RESULTS}/logs/{{variant}}attack/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{variant}}attack/{{model}}.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: compute.threads
    resources:
        mem_mb=lambda wildcards, attempt: forecast.attack(wildcards.model, variant_of(wildcards)).grow(attempt).mem_mb,
        runtime=lambda wildcards, attempt: forecast.attack(wildcards.model, variant_of(wildcards)).grow(attempt).minutes,
        gpu=GPUS,
        gres=GRES,
        gpu_jobs=GPU_JOBS,
        jobs_per_gpu=JOBS_PER_GPU,
        device=compute.device,
        batch=compute.batch_size,
    params:
        step=lambda wildcards: plan.adversarial(wildcards.model, variant_of(wildcards)).json,
    shell:
        "python -m sat attack --step {params.step:q} --weights {input.weights:q} --images {input.images:q}"
        " --clean {input.clean:q} --out {output.adversarial:q}"
        " --device {resources.device} --threads {threads} --batch {resources.batch}"
        " --jobs-per-gpu {resources.jobs_per_gpu} 2> {log:q}"
