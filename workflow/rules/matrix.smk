localrules:
    matrix,


# Of a study that starts from a matrix. The step holds its digest, so a moved file is the same matrix.
rule matrix:
    output:
        sat=f"{RESULTS}/similarity/sat.csv",
        sidecar=f"{RESULTS}/similarity/sat.csv.json",
    log:
        f"{RESULTS}/logs/similarity/matrix.log",
    benchmark:
        f"{RESULTS}/benchmarks/similarity/matrix.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
        matrix=user_file("matrix"),
    params:
        step=plan.matrix.json,
    shell:
        "python -m sat matrix --step {params.step:q} --matrix {resources.matrix:q} --sat {output.sat:q} 2> {log:q}"
