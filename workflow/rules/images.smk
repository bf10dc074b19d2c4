# What is read over a network is read where Snakemake itself runs: compute nodes may have none.
localrules:
    manifest,


if study.config.images.over_network:

    localrules:
        images,


# The user's own paths are resources and no params: images that have moved are the same images.
# A folder is no input: its time says nothing. 'snakemake --forcerun manifest' takes a changed one.
rule manifest:
    output:
        manifest=f"{RESULTS}/images/manifest.csv",
        sidecar=f"{RESULTS}/images/manifest.csv.json",
    log:
        f"{RESULTS}/logs/images/manifest.log",
    benchmark:
        f"{RESULTS}/benchmarks/images/manifest.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
        gpu=0,
        root=user_file("images.root"),
        class_map=user_file("images.class_map"),
    params:
        step=plan.manifest.json,
    shell:
        "python -m sat manifest --step {params.step:q} --root {resources.root:q} --class-map {resources.class_map:q}"
        " --out {output.manifest:q} 2> {log:q}"


rule images:
    input:
        manifest=ancient(f"{RESULTS}/images/manifest.csv"),
        manifest_sidecar=f"{RESULTS}/images/manifest.csv.json",
    output:
        images=f"{RESULTS}/images/{{split}}.h5",
        sidecar=f"{RESULTS}/images/{{split}}.h5.json",
    log:
        f"{RESULTS}/logs/images/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/images/{{split}}.tsv"
    conda:
        "../../envs/sat.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: forecast.images(wildcards.split).grow(attempt).mem_mb,
        runtime=lambda wildcards, attempt: forecast.images(wildcards.split).grow(attempt).minutes,
        gpu=0,
        root=user_file("images.root"),
        class_map=user_file("images.class_map"),
        list=attack_list,
    params:
        step=lambda wildcards: plan.images(wildcards.split).json,
    shell:
        "python -m sat images --step {params.step:q} --manifest {input.manifest:q} --root {resources.root:q}"
        " --class-map {resources.class_map:q} --list {resources.list:q} --out {output.images:q} 2> {log:q}"
