# On standard input: of a thousand models, the step is longer than a word may be.
rule measures:
    input:
        sat=ancient(f"{RESULTS}/similarity/sat.csv"),
        sat_sidecar=f"{RESULTS}/similarity/sat.csv.json",
        attack_images=ancient(f"{RESULTS}/images/attack.h5"),
        attack_images_sidecar=f"{RESULTS}/images/attack.h5.json",
        eval_images=ancient(f"{RESULTS}/images/eval.h5"),
        eval_images_sidecar=f"{RESULTS}/images/eval.h5.json",
        clean=ancient(CLEAN),
        clean_sidecars=sidecars(CLEAN),
    output:
        measures=report(
            f"{RESULTS}/analysis/measures.csv",
            category="Other measures",
            labels={"what": "agreement with SAT", "kind": "table"},
            caption="../report/measures.rst",
        ),
        measures_sidecar=f"{RESULTS}/analysis/measures.csv.json",
        separation=report(
            f"{RESULTS}/analysis/measures_separation.csv",
            category="Other measures",
            labels={"what": "separation of families", "kind": "table"},
            caption="../report/measures_separation.rst",
        ),
        separation_sidecar=f"{RESULTS}/analysis/measures_separation.csv.json",
        pairs=f"{RESULTS}/analysis/measures_pairs.csv",
        pairs_sidecar=f"{RESULTS}/analysis/measures_pairs.csv.json",
        figure=report(
            f"{RESULTS}/figures/measures.svg",
            category="Other measures",
            labels={"what": "measures against SAT", "kind": "figure"},
            caption="../report/measures_figure.rst",
        ),
        figure_sidecar=f"{RESULTS}/figures/measures.svg.json",
    log:
        f"{RESULTS}/logs/analysis/measures.log",
    benchmark:
        f"{RESULTS}/benchmarks/analysis/measures.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
        gpu=0,
    params:
        step=plan.measures.json,
    shell:
        """
        python -m sat measures --step - --sat {input.sat:q} --attack-images {input.attack_images:q} \
            --eval-images {input.eval_images:q} --clean {input.clean:q} --measures {output.measures:q} \
            --separation {output.separation:q} --pairs {output.pairs:q} --figure {output.figure:q} \
            2>{log:q} <<'STEP'
{params.step}
STEP
        """
