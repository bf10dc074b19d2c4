rule study:
    output:
        f"{RESULTS}/study.json",
    log:
        f"{RESULTS}/logs/study/study.log",
    benchmark:
        f"{RESULTS}/benchmarks/study/study.tsv"
    localrule: True
    conda:
        ENV
    resources:
        **needs(Needs(500, 5)),
    params:
        step=lambda wildcards: plan.describe().json,
    shell:
        command("study --out {output:q}")
