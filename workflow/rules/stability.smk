# The step is on standard input: a study of a thousand models is longer than a word may be.
rule stability:
    input:
        sat=ancient(f"{RESULTS}/similarity/sat.csv"),
        sat_sidecar=f"{RESULTS}/similarity/sat.csv.json",
        clusters=ancient(f"{RESULTS}/analysis/clusters.csv"),
        clusters_sidecar=f"{RESULTS}/analysis/clusters.csv.json",
        images=ancient(f"{RESULTS}/images/attack.h5"),
        images_sidecar=f"{RESULTS}/images/attack.h5.json",
        clean=ancient(CLEAN),
        clean_sidecars=sidecars(CLEAN),
        tiles=ancient(TILES),
        tiles_sidecars=sidecars(TILES),
    output:
        stability=report(
            f"{RESULTS}/analysis/stability.csv",
            category="Stability",
            labels={"what": "the matrix on other images", "kind": "table"},
            caption="../report/stability.rst",
        ),
        stability_sidecar=f"{RESULTS}/analysis/stability.csv.json",
        curve=report(
            f"{RESULTS}/analysis/stability_curve.csv",
            category="Stability",
            labels={"what": "how many images it takes", "kind": "table"},
            caption="../report/stability_curve.rst",
        ),
        curve_sidecar=f"{RESULTS}/analysis/stability_curve.csv.json",
        membership=report(
            f"{RESULTS}/analysis/stability_membership.csv",
            category="Stability",
            labels={"what": "how firmly models belong, over images", "kind": "table"},
            caption="../report/stability_membership.rst",
        ),
        membership_sidecar=f"{RESULTS}/analysis/stability_membership.csv.json",
        figure=report(
            f"{RESULTS}/figures/stability.svg",
            category="Stability",
            labels={"what": "how many images it takes", "kind": "figure"},
            caption="../report/stability_curve.rst",
        ),
        figure_sidecar=f"{RESULTS}/figures/stability.svg.json",
    log:
        f"{RESULTS}/logs/analysis/stability.log",
    benchmark:
        f"{RESULTS}/benchmarks/analysis/stability.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
        gpu=0,
    params:
        step=plan.stability.json,
    shell:
        """
        python -m sat stability --step - --sat {input.sat:q} --clusters {input.clusters:q} --images {input.images:q} \
            --clean {input.clean:q} --tiles {input.tiles:q} --stability {output.stability:q} --curve {output.curve:q} \
            --membership {output.membership:q} --figure {output.figure:q} 2>{log:q} <<'STEP'
{params.step}
STEP
        """
