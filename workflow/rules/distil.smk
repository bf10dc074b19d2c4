# The student of the study's key `distillation`, trained with each teacher and without one: the same loop, the same
# settings, the same seeds.
rule distil:
    input:
        train_images=ancient(f"{RESULTS}/images/train.h5"),
        train_images_sidecar=f"{RESULTS}/images/train.h5.json",
        eval_images=ancient(f"{RESULTS}/images/eval.h5"),
        eval_images_sidecar=f"{RESULTS}/images/eval.h5.json",
        teacher=ancient(teacher_of),
        teacher_sidecar=lambda wildcards: sidecars(teacher_of(wildcards)),
    output:
        weights=f"{RESULTS}/distilled/{{teacher}}/{{seed}}.safetensors",
        sidecar=f"{RESULTS}/distilled/{{teacher}}/{{seed}}.safetensors.json",
    log:
        f"{RESULTS}/logs/distilled/{{teacher}}/{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/distilled/{{teacher}}/{{seed}}.tsv"
    wildcard_constraints:
        teacher="|".join(map(re.escape, (ALONE, *study.teachers))),
        seed=r"\d+",
    conda:
        "../../envs/sat.yaml"
    threads: compute.threads
    resources:
        mem_mb=lambda wildcards, attempt: forecast.distil(wildcards.teacher).grow(attempt).mem_mb,
        runtime=lambda wildcards, attempt: forecast.distil(wildcards.teacher).grow(attempt).minutes,
        gpu=GPUS,
        gres=GRES,
        gpu_jobs=GPU_JOBS,
        jobs_per_gpu=JOBS_PER_GPU,
        device=compute.device,
        batch=compute.batch_size,
    params:
        step=lambda wildcards: plan.distilled(wildcards.teacher, int(wildcards.seed)).json,
    shell:
        "python -m sat distil --step {params.step:q} --train-images {input.train_images:q}"
        " --eval-images {input.eval_images:q} --teacher {input.teacher:q} --out {output.weights:q}"
        " --device {resources.device} --threads {threads} --batch {resources.batch}"
        " --jobs-per-gpu {resources.jobs_per_gpu} 2> {log:q}"
