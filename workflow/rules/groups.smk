rule groups:
    input:
        sat=ancient(f"{RESULTS}/similarity/sat.csv"),
        sat_sidecar=f"{RESULTS}/similarity/sat.csv.json",
    output:
        groups=report(
            f"{RESULTS}/analysis/groups.csv",
            category="Groups",
            labels={"what": "mean SAT within groups", "kind": "table"},
            caption="../report/groups.rst",
        ),
        groups_sidecar=f"{RESULTS}/analysis/groups.csv.json",
        figure=report(
            f"{RESULTS}/figures/groups.svg",
            category="Groups",
            labels={"what": "mean SAT within groups", "kind": "figure"},
            caption="../report/groups.rst",
        ),
        figure_sidecar=f"{RESULTS}/figures/groups.svg.json",
    log:
        f"{RESULTS}/logs/analysis/groups.log",
    benchmark:
        f"{RESULTS}/benchmarks/analysis/groups.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
        gpu=0,
        compare_to=user_file("compare_to"),
    params:
        step=plan.groups.json,
    shell:
        """
        python -m sat groups --step - --sat {input.sat:q} --compare-to {resources.compare_to:q} \
            --groups {output.groups:q} --figure {output.figure:q} 2>{log:q} <<'STEP'
{params.step}
STEP
        """
