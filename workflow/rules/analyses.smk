# Each analysis has a rule of its own name, made from its declaration (workflow/sat/analyses/). Snakemake evaluates the
# shell text and the functions again when a job runs, and the loop's variable then has its last value. So the shell
# text is one constant, and functions take the loop's variable as a default argument.
ANALYSE = command("analysis", more="{input:q}\n{output:q}\n{resources.files}\n")


# The page's rule writes the first page of the report from the tables. Snakemake reads it when it makes the report.
LANDING = Path(RESULTS, "report/landing.rst").absolute()


report: str(LANDING) if LANDING.exists() else "../report/study.rst"


for name, unit in plan.analyses.items():

    rule:
        name:
            name
        input:
            **made(**{key: input_of(name, key) for key in plan.inputs_of(name)}),
        output:
            **makes(**{re.sub(r"\W", "_", path): (path, shown) for path, shown in unit.outputs.items()}),
        log:
            f"{RESULTS}/logs/{unit.folder}/{name}.log",
        benchmark:
            f"{RESULTS}/benchmarks/{unit.folder}/{name}.tsv"
        conda:
            ENV
        resources:
            **needs(Needs(unit.mem_mb, unit.minutes)),
            files=" ".join(shlex.quote(f"{key}={user_file(key)}") for key in unit.files),
        params:
            **({"caption": lambda wildcards, unit=unit: as_rst(unit.caption)} if name in own_analyses else {}),
            step=lambda wildcards, name=name: plan.analysis(name)[0].json,
        shell:
            ANALYSE
