rule caveats:
    input:
        sat=ancient(f"{RESULTS}/similarity/sat.csv"),
        sat_sidecar=f"{RESULTS}/similarity/sat.csv.json",
        models=ancient(f"{RESULTS}/similarity/models.csv"),
        models_sidecar=f"{RESULTS}/similarity/models.csv.json",
    output:
        caveats=report(
            f"{RESULTS}/analysis/caveats.csv",
            category="Models",
            labels={"what": "what SAT may measure instead", "kind": "table"},
            caption="../report/caveats.rst",
        ),
        caveats_sidecar=f"{RESULTS}/analysis/caveats.csv.json",
    log:
        f"{RESULTS}/logs/analysis/caveats.log",
    benchmark:
        f"{RESULTS}/benchmarks/analysis/caveats.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
        gpu=0,
    params:
        step=plan.caveats.json,
    shell:
        "python -m sat caveats --step {params.step:q} --sat {input.sat:q} --models {input.models:q}"
        " --caveats {output.caveats:q} 2> {log:q}"
