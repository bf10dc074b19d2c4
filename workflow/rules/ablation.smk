# The study first, then its variants, in the order in which it names them.
MATRICES = [f"{RESULTS}/{variant_folder(name)}similarity/sat.csv" for name in ("", *study.config.variants)]
MODELS = [f"{RESULTS}/{variant_folder(name)}similarity/models.csv" for name in ("", *study.config.variants)]


rule ablation:
    input:
        images=ancient(f"{RESULTS}/images/attack.h5"),
        images_sidecar=f"{RESULTS}/images/attack.h5.json",
        sat=ancient(MATRICES),
        sat_sidecars=sidecars(MATRICES),
        models=ancient(MODELS),
        models_sidecars=sidecars(MODELS),
    output:
        table=report(
            f"{RESULTS}/analysis/ablation.csv",
            category="Variants",
            labels={"what": "agreement with the study", "kind": "table"},
            caption="../report/ablation.rst",
        ),
        table_sidecar=f"{RESULTS}/analysis/ablation.csv.json",
        pairs=f"{RESULTS}/analysis/ablation_pairs.csv",
        pairs_sidecar=f"{RESULTS}/analysis/ablation_pairs.csv.json",
        figure=report(
            f"{RESULTS}/figures/ablation.svg",
            category="Variants",
            labels={"what": "agreement with the study", "kind": "figure"},
            caption="../report/ablation.rst",
        ),
        figure_sidecar=f"{RESULTS}/figures/ablation.svg.json",
    log:
        f"{RESULTS}/logs/analysis/ablation.log",
    benchmark:
        f"{RESULTS}/benchmarks/analysis/ablation.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
        gpu=0,
    params:
        step=plan.ablation.json,
    shell:
        """
        python -m sat ablation --step - --images {input.images:q} --sat {input.sat:q} --models {input.models:q} \
            --table {output.table:q} --pairs {output.pairs:q} --figure {output.figure:q} 2>{log:q} <<'STEP'
{params.step}
STEP
        """
