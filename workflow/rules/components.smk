# A step that holds the components of a thousand models is longer than a word may be: it comes on standard input.


# Of its own: the fits of the null take longest, and no other setting touches them.
rule components_null:
    input:
        sat=ancient(f"{RESULTS}/similarity/sat.csv"),
        sat_sidecar=f"{RESULTS}/similarity/sat.csv.json",
    output:
        null=f"{RESULTS}/analysis/components_null.csv",
        null_sidecar=f"{RESULTS}/analysis/components_null.csv.json",
    log:
        f"{RESULTS}/logs/analysis/components_null.log",
    benchmark:
        f"{RESULTS}/benchmarks/analysis/components_null.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
        gpu=0,
    params:
        step=plan.components_null.json,
    shell:
        """
        python -m sat components_null --step - --sat {input.sat:q} --out {output.null:q} 2>{log:q} <<'STEP'
{params.step}
STEP
        """


rule components:
    input:
        sat=ancient(f"{RESULTS}/similarity/sat.csv"),
        sat_sidecar=f"{RESULTS}/similarity/sat.csv.json",
        null=ancient(f"{RESULTS}/analysis/components_null.csv"),
        null_sidecar=f"{RESULTS}/analysis/components_null.csv.json",
    output:
        ranking=report(
            f"{RESULTS}/analysis/components.csv",
            category="Components",
            labels={"what": "importance", "kind": "table"},
            caption="../report/components.rst",
        ),
        ranking_sidecar=f"{RESULTS}/analysis/components.csv.json",
        r2=report(
            f"{RESULTS}/analysis/components_r2.csv",
            category="Components",
            labels={"what": "how well components predict SAT", "kind": "table"},
            caption="../report/components_r2.rst",
        ),
        r2_sidecar=f"{RESULTS}/analysis/components_r2.csv.json",
        differences=report(
            f"{RESULTS}/analysis/components_differences.csv",
            category="Components",
            labels={"what": "sharing against differing", "kind": "table"},
            caption="../report/components_differences.rst",
        ),
        differences_sidecar=f"{RESULTS}/analysis/components_differences.csv.json",
        values=f"{RESULTS}/analysis/components_values.csv",
        values_sidecar=f"{RESULTS}/analysis/components_values.csv.json",
        blocks=f"{RESULTS}/analysis/components_blocks.csv",
        blocks_sidecar=f"{RESULTS}/analysis/components_blocks.csv.json",
        figure=report(
            f"{RESULTS}/figures/components.svg",
            category="Components",
            labels={"what": "importance", "kind": "figure"},
            caption="../report/components.rst",
        ),
        figure_sidecar=f"{RESULTS}/figures/components.svg.json",
    log:
        f"{RESULTS}/logs/analysis/components.log",
    benchmark:
        f"{RESULTS}/benchmarks/analysis/components.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
        gpu=0,
    params:
        step=plan.components.json,
    shell:
        """
        python -m sat components --step - --sat {input.sat:q} --null {input.null:q} --ranking {output.ranking:q} \
            --r2 {output.r2:q} --differences {output.differences:q} --by-value {output.values:q} \
            --blocks {output.blocks:q} --figure {output.figure:q} 2>{log:q} <<'STEP'
{params.step}
STEP
        """
