localrules:
    study,


# On standard input: a study of a thousand models is longer than a word may be.
rule study:
    output:
        f"{RESULTS}/study.json",
    log:
        f"{RESULTS}/logs/study/study.log",
    benchmark:
        f"{RESULTS}/benchmarks/study/study.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
        gpu=0,
    params:
        step=plan.describe().json,
    shell:
        """
        python -m sat study --step - --out {output:q} 2>{log:q} <<'STEP'
{params.step}
STEP
        """
