# The page that shows a study's results. Nothing is made from it.
EXAMPLES = ["report/examples.parquet"] if plan.has_examples else []


if EXAMPLES:

    rule examples:
        input:
            **made(
                sat="similarity/sat.csv",
                manifest="images/manifest.csv",
                attack_images="images/attack.h5",
                eval_images="images/eval.h5",
                clean=clean_of_all,
                adversarial=lambda wildcards: [f"adversarial/{model}.h5" for model in study.used],
                tiles=lambda wildcards: [f"tiles/{target}/{source}.h5" for target, source in plan.used_tiles],
            ),
        output:
            **makes(examples="report/examples.parquet"),
        log:
            f"{RESULTS}/logs/report/examples.log",
        benchmark:
            f"{RESULTS}/benchmarks/report/examples.tsv"
        conda:
            ENV
        resources:
            **needs(PAGES["examples"]),
        params:
            step=lambda wildcards: plan.pages()[0].json,
        shell:
            command(
                "examples --sat {input.sat:q} --manifest {input.manifest:q} --attack-images {input.attack_images:q}"
                " --eval-images {input.eval_images:q} --clean {input.clean:q} --adversarial {input.adversarial:q}"
                " --tiles {input.tiles:q} --out {output.examples:q}",
            )


rule atlas:
    input:
        **made(tables=lambda wildcards: paths_of(plan.pages()[-1].inputs["tables"]), examples=EXAMPLES),
        # study.json is its own sidecar.
        study=results("study.json"),
    output:
        **makes(atlas="report/atlas.html", landing="report/landing.rst"),
    log:
        f"{RESULTS}/logs/report/atlas.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/atlas.tsv"
    conda:
        ENV
    resources:
        **needs(PAGES["atlas"]),
    params:
        step=lambda wildcards: plan.pages()[-1].json,
    shell:
        command(
            "atlas --study {input.study:q} --tables {input.tables:q} --examples {input.examples:q}"
            " --atlas {output.atlas:q} --landing {output.landing:q}",
        )


# What the results are and how they were made, for people and programs that do not know this workflow. The pages were
# made from everything but the gates. So the crate is made again exactly when one of the results is.
rule crate:
    input:
        **made(pages=["report/atlas.html", "report/landing.rst"]),
        # Gates are their own sidecars.
        gates=lambda wildcards: results(paths_of(plan.gates)),
    output:
        **makes(crate="provenance/ro-crate-metadata.json", snakefile="provenance/Snakefile"),
    log:
        f"{RESULTS}/logs/provenance/crate.log",
    benchmark:
        f"{RESULTS}/benchmarks/provenance/crate.tsv"
    localrule: True
    conda:
        ENV
    resources:
        **needs(PAGES["crate"]),
    params:
        step=lambda wildcards: plan.crate()[0].json,
    shell:
        command(
            "crate --pages {input.pages:q} --gates {input.gates:q} --ro-crate-metadata {output.crate:q}"
            " --snakefile {output.snakefile:q}",
        )
