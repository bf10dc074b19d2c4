CLEAN = [f"{RESULTS}/clean/{model}.h5" for model in study.used]
TILES = [f"{RESULTS}/tiles/{target}/{source}.h5" for target, source in plan.used_tiles]


rule similarity:
    input:
        images=ancient(f"{RESULTS}/images/attack.h5"),
        images_sidecar=f"{RESULTS}/images/attack.h5.json",
        clean=ancient(CLEAN),
        clean_sidecars=sidecars(CLEAN),
        tiles=ancient(tiles_of),
        tiles_sidecars=lambda wildcards: sidecars(tiles_of(wildcards)),
    output:
        pairs=f"{RESULTS}/{{variant}}similarity/pairs.parquet",
        pairs_sidecar=f"{RESULTS}/{{variant}}similarity/pairs.parquet.json",
        sat=report(
            f"{RESULTS}/{{variant}}similarity/sat.csv",
            category=report_section("Similarity"),
            labels=report_labels("SAT matrix"),
            caption="../report/sat.rst",
        ),
        sat_sidecar=f"{RESULTS}/{{variant}}similarity/sat.csv.json",
        most_similar=report(
            f"{RESULTS}/{{variant}}similarity/most_similar.csv",
            category=report_section("Similarity"),
            labels=report_labels("most similar pairs"),
            caption="../report/most_similar.rst",
        ),
        most_similar_sidecar=f"{RESULTS}/{{variant}}similarity/most_similar.csv.json",
        models=report(
            f"{RESULTS}/{{variant}}similarity/models.csv",
            category=report_section("Models"),
            labels=report_labels("accuracy and white-box success"),
            caption="../report/models.rst",
        ),
        models_sidecar=f"{RESULTS}/{{variant}}similarity/models.csv.json",
    log:
        f"{RESULTS}/logs/{{variant}}similarity/similarity.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{variant}}similarity/similarity.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
        gpu=0,
    params:
        step=lambda wildcards: plan.similarity_of(variant_of(wildcards)).json,
    shell:
        "python -m sat similarity --step {params.step:q} --images {input.images:q} --clean {input.clean:q}"
        " --tiles {input.tiles:q} --pairs {output.pairs:q} --sat {output.sat:q}"
        " --most-similar {output.most_similar:q} --models {output.models:q} 2> {log:q}"
