rule reference:
    input:
        sat=ancient(f"{RESULTS}/similarity/sat.csv"),
        sat_sidecar=f"{RESULTS}/similarity/sat.csv.json",
    output:
        table=report(
            f"{RESULTS}/analysis/reference.csv",
            category="Reference",
            labels={"what": "agreement", "kind": "table"},
            caption="../report/reference.rst",
        ),
        table_sidecar=f"{RESULTS}/analysis/reference.csv.json",
        pairs=f"{RESULTS}/analysis/reference_pairs.csv",
        pairs_sidecar=f"{RESULTS}/analysis/reference_pairs.csv.json",
        figure=report(
            f"{RESULTS}/figures/reference.svg",
            category="Reference",
            labels={"what": "agreement", "kind": "figure"},
            caption="../report/reference.rst",
        ),
        figure_sidecar=f"{RESULTS}/figures/reference.svg.json",
    log:
        f"{RESULTS}/logs/analysis/reference.log",
    benchmark:
        f"{RESULTS}/benchmarks/analysis/reference.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
        gpu=0,
        reference=user_file("reference"),
    params:
        step=plan.reference.json,
    shell:
        """
        python -m sat reference --step - --sat {input.sat:q} --reference {resources.reference:q} \
            --table {output.table:q} --pairs {output.pairs:q} --figure {output.figure:q} 2>{log:q} <<'STEP'
{params.step}
STEP
        """
