# The matrix of a study that starts from one. The step holds the digest of the file, so moving the file reruns nothing.
rule matrix:
    output:
        **makes(sat="similarity/sat.csv", affinity="similarity/affinity.csv"),
    log:
        f"{RESULTS}/logs/similarity/matrix.log",
    benchmark:
        f"{RESULTS}/benchmarks/similarity/matrix.tsv"
    localrule: True
    conda:
        ENV
    resources:
        **needs(Needs(1000, 10)),
        matrix=user_file("matrix"),
    params:
        step=lambda wildcards: plan.matrix[0].json,
    shell:
        command("matrix --matrix {resources.matrix:q} --sat {output.sat:q} --affinity {output.affinity:q}")
