# The student of the study's key `distillation` is trained with each teacher and without one, with the same loop, the
# same settings and the same seeds.
rule distil:
    input:
        **made(train_images="images/train.h5", eval_images="images/eval.h5", teacher=teacher_of),
    output:
        **makes(weights="distilled/{teacher}/{seed}.safetensors"),
    log:
        f"{RESULTS}/logs/distilled/{{teacher}}/{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/distilled/{{teacher}}/{{seed}}.tsv"
    wildcard_constraints:
        teacher=any_of((ALONE, *study.teachers)),
        seed=r"\d+",
    conda:
        ENV
    threads: compute.threads
    resources:
        **needs(lambda wildcards: forecast.distil(wildcards.teacher), GPU),
    params:
        step=lambda wildcards: plan.distilled(wildcards.teacher, int(wildcards.seed)).json,
    shell:
        command(
            "distil --train-images {input.train_images:q} --eval-images {input.eval_images:q}"
            " --teacher {input.teacher:q} --out {output.weights:q}",
            COMPUTE,
        )
