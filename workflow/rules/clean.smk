rule clean:
    input:
        weights=ancient(f"{RESULTS}/weights/{{model}}.safetensors"),
        weights_sidecar=f"{RESULTS}/weights/{{model}}.safetensors.json",
        attack_images=ancient(f"{RESULTS}/images/attack.h5"),
        attack_images_sidecar=f"{RESULTS}/images/attack.h5.json",
        eval_images=ancient(f"{RESULTS}/images/eval.h5"),
        eval_images_sidecar=f"{RESULTS}/images/eval.h5.json",
    output:
        clean=f"{RESULTS}/clean/{{model}}.h5",
        sidecar=f"{RESULTS}/clean/{{model}}.h5.json",
    log:
        f"{RESULTS}/logs/clean/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/clean/{{model}}.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: compute.threads
    resources:
        mem_mb=lambda wildcards, attempt: forecast.clean(wildcards.model).grow(attempt).mem_mb,
        runtime=lambda wildcards, attempt: forecast.clean(wildcards.model).grow(attempt).minutes,
        gpu=GPUS,
        gres=GRES,
        gpu_jobs=GPU_JOBS,
        jobs_per_gpu=JOBS_PER_GPU,
        device=compute.device,
        batch=compute.batch_size,
    params:
        step=lambda wildcards: plan.clean(wildcards.model).json,
    shell:
        "python -m sat clean --step {params.step:q} --weights {input.weights:q}"
        " --attack-images {input.attack_images:q} --eval-images {input.eval_images:q} --out {output.clean:q}"
        " --device {resources.device} --threads {threads} --batch {resources.batch}"
        " --jobs-per-gpu {resources.jobs_per_gpu} 2> {log:q}"


# Of its own, and ancient() to the attack: another min_accuracy reruns gates and nothing else.
rule gate:
    input:
        clean=ancient(f"{RESULTS}/clean/{{model}}.h5"),
        clean_sidecar=f"{RESULTS}/clean/{{model}}.h5.json",
    output:
        f"{RESULTS}/clean/{{model}}.gate.json",
    log:
        f"{RESULTS}/logs/gate/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/gate/{{model}}.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
        gpu=0,
    params:
        step=lambda wildcards: plan.gate(wildcards.model).json,
    shell:
        "python -m sat gate --step {params.step:q} --clean {input.clean:q} --out {output:q} 2> {log:q}"
