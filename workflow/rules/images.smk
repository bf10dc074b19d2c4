# Images from a network are read where Snakemake itself runs, because compute nodes may have no network.
# The user's own paths are resources and not params, because images that have moved are still the same images.
# A folder is not an input, because its time says nothing. After a folder has changed: snakemake --forcerun manifest
rule manifest:
    output:
        **makes(manifest="images/manifest.csv"),
    log:
        f"{RESULTS}/logs/images/manifest.log",
    benchmark:
        f"{RESULTS}/benchmarks/images/manifest.tsv"
    localrule: True
    conda:
        ENV
    resources:
        **needs(Needs(2000, 60)),
        root=user_file("images.root"),
        class_map=user_file("images.class_map"),
    params:
        step=lambda wildcards: plan.manifest.json,
    shell:
        command("manifest --root {resources.root:q} --class-map {resources.class_map:q} --out {output.manifest:q}")


rule images:
    input:
        **made(manifest="images/manifest.csv"),
    output:
        **makes(images="images/{split}.h5"),
    log:
        f"{RESULTS}/logs/images/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/images/{{split}}.tsv"
    localrule: study.config.images.over_network
    conda:
        ENV
    resources:
        **needs(lambda wildcards: forecast.images(wildcards.split)),
        root=user_file("images.root"),
        class_map=user_file("images.class_map"),
        list=lambda wildcards: user_file("images.attack_images") if wildcards.split == "attack" else "",
        max_megapixels=str(compute.max_megapixels),
    params:
        step=lambda wildcards: plan.images(wildcards.split).json,
    shell:
        command(
            "images --manifest {input.manifest:q} --root {resources.root:q}"
            " --class-map {resources.class_map:q} --list {resources.list:q}"
            " --max-megapixels {resources.max_megapixels} --out {output.images:q}",
        )
