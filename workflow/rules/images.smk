rule images:
    output:
        images=f"{RESULTS}/images/{{split}}.h5",
        sidecar=f"{RESULTS}/images/{{split}}.h5.json",
    log:
        f"{RESULTS}/logs/images/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/images/{{split}}.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
        gpu=0,
    params:
        step=lambda wildcards: plan.images(wildcards.split).json,
    shell:
        "python -m sat images --step {params.step:q} --out {output.images:q} 2> {log:q}"
