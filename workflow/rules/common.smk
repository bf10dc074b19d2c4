# Code that all rules share: the study, its plan, and how commands are called.
import gc
import os
import re
import shlex
import shutil
import sys
from collections import Counter
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.settings.types import DeploymentMethod

# Snakemake makes millions of objects that live until the end. By default, Python looks through the new ones after every
# 700, which is a tenth of the time of planning a thousand models.
gc.set_threshold(50_000, 10, 100)

# If another workflow uses this one as a module, workflow.basedir is the other workflow's folder.
CLONE = Path(str(workflow.current_basedir)).parents[1]
if not (CLONE / "workflow/sat").is_dir():
    raise WorkflowError("SAT is a library too, so it runs from a clone: name the clone's Snakefile by its path.")
sys.path.insert(0, f"{CLONE}/workflow")

from sat.cli.calls import runs_jobs
from sat.errors import SatError
from sat.store.environment import export_git
from sat.store.artefact import is_made
from sat.store.files import forbidden
from sat.store.history import Recorder
from sat.store.runs import JOBS, forget_dead_runs, forget_studies, hold_run, mark_unrecorded
from sat.store.step import ALONE
from sat.store.user_files import register
from sat.study.code import CONSENT, COPIES, FOLDER, KEY, check_consent, consents, give_consent, keep_code
from sat.study.forecast import PAGES, Forecast
from sat.study.plan import Plan, variant_folder
from sat.study.reading import read_config
from sat.study.resources import Needs
from sat.study.study import build_study
from sat.units.analysis import Shown, in_reading_order

# Another workflow that uses this one as a module gives the study as the module's config. Paths in it start from the
# folder where Snakemake runs.
asked, given = workflow.modifier, workflow.modifier.skip_configfile
files = [Path(f"the config of module {asked.namespace}")] if given else list(map(Path, workflow.overwrite_configfiles))
try:
    if asked.path_modifier.replace_prefix("results/study.json") != "results/study.json":
        raise SatError(f"module {asked.namespace}: has a prefix. Remove it: results always live in results/<study>/.")
    if files and not given and not asked.is_main_snakefile():
        raise SatError(
            f"module {asked.namespace}: has no config, and the command names config files of the whole workflow. If "
            "they hold the study, write in the module: config: config"
        )
    # Snakemake has read the files of --configfile by now, and run code in them. It has not read config.yaml yet.
    for file in [] if given else files or [CLONE / "config.yaml"]:
        if file.exists():  # Snakemake itself says if it is missing
            read_config(file, has_run=bool(files))
except SatError as error:
    raise WorkflowError(str(error)) from None

# A study stands alone: config.yaml is the study only where no other is given.
if not files:

    configfile: f"{CLONE}/config.yaml"


def go_on(plan):
    """Go on after a run that was killed: it left locks, and finished files that Snakemake calls incomplete."""
    # Only the main process needs these. Each job of a cluster parses this file too.
    from sat.cli.resume import left
    from sat.status.verify import is_finished

    snakemake, folder = Path(".snakemake"), Path(RESULTS)
    killed = forget_dead_runs(snakemake, folder, lambda path: is_finished(plan, folder, path))
    if killed:
        try:
            jobs = left(Path.cwd()) if shutil.which("squeue") else []
        except SatError as error:
            print(f"SLURM does not answer, so jobs of the earlier run may be left: {error}", file=sys.stderr)
            return
        if jobs:
            raise SatError(
                f"{len(jobs)} SLURM jobs of a run that was killed are waiting or running. 'sat resume' cancels them "
                "and goes on; with --wait, it lets them finish."
            )
    forget_studies(snakemake, plan.study.name, files)


try:
    # The module's config may be a part of the other workflow's, which has uses for its own.
    settings = {**config}
    if KEY in workflow.config_settings.overwrite_config:
        settings[KEY] = workflow.config_settings.overwrite_config[KEY]
    give_consent(settings, sys.argv if workflow.is_main_process else None)
    study = build_study(settings, files or [CLONE / "config.yaml"], consents() and workflow.is_main_process)
    RESULTS = f"results/{study.name}"
    looks = workflow.output_settings.dryrun or not workflow.is_main_process
    running = not looks and runs_jobs(sys.argv[1:])
    if running:
        check_consent(study.own, study.code)
        hold_run(Path(RESULTS))
        keep_code(study.code.values(), Path(RESULTS))
    # Jobs on a cluster parse this file too. They use the digests that the main process has registered.
    plan = Plan(study, register(study.files, Path(RESULTS), write=running))
    if running:
        go_on(plan)
    if workflow.is_main_process:
        # A dry run too, so that it shows what a run would do.
        steps = {f"{RESULTS}/{artefact.path}": artefact.step for artefact in plan.artefacts().values()}
        mark_unrecorded(Path(".snakemake"), steps, lambda path: not is_made(path, steps[path]))
except SatError as error:
    raise WorkflowError(str(error)) from None
except OSError as error:
    if not (said := forbidden(error)):
        raise
    raise WorkflowError(said) from None

own_analyses = [name for name in plan.analyses if f"analyses/{name}" in study.units.code]
forecast = Forecast(plan, Path(RESULTS))
compute = study.config.compute


# A dry run has none, nor has a job's own process.
history = Recorder(Path(RESULTS)) if running else None


def counted(jobs):
    """Number of jobs of each rule, without those that only collect files."""
    return Counter(job.rule.name for job in jobs if not job.rule.norun)


def record_end(whole):
    """Record the end of a run in the history."""
    if history:
        history.end(counted(workflow.dag.finished_jobs), counted(workflow.scheduler.failed), whole)


# Jobs on a cluster parse this file too. They keep the variables that the main process has exported.
if workflow.is_main_process:
    export_git(CLONE)
    for caution in study.cautions:
        logger.warning(caution)


wildcard_constraints:
    # Not the thousand names: Snakemake copies a constraint into each pattern, and reads it whole for each path. A model
    # that is not in the study has no rule that makes its weights.
    model="[^/]+",
    target="|".join(plan.blocks),
    source="|".join(plan.blocks),
    split="train|eval|attack",
    # The folder of a variant. It is empty for the study itself, which comes first.
    variant="|" + "|".join(re.escape(variant_folder(name)) for name in study.config.variants),


# What the paths of a variant begin with. Without variants, no path begins with a wildcard, so Snakemake tries fewer rules.
VARIANT = "{variant}" if study.config.variants else ""
ENV = "../../envs/sat.yaml"
COMPUTE = (
    "--device {resources.device} --threads {threads} --batch {resources.batch}"
    " --jobs-per-gpu {resources.jobs_per_gpu}"
)
# Clusters accept --gpus or --gres, rarely both. A limit on GPUs counts gpu_jobs.
defaults = workflow.resource_settings.default_resources or {}
GPU = {
    "gpu": 1 if compute.request == "gpus" else 0,
    "gres": "gpu:1" if compute.request == "gres" else None,
    "gpu_jobs": 1 if compute.uses_gpu else 0,
    # This is for one machine with several GPUs, so the profile sets it: default-resources: [jobs_per_gpu=2].
    "jobs_per_gpu": defaults["jobs_per_gpu"].value if "jobs_per_gpu" in defaults else 1,
    "device": compute.device,
    "batch": compute.batch_size,
}


def results(path):
    """Path of an artefact, or of a list of them."""
    return f"{RESULTS}/{path}" if isinstance(path, str) else [f"{RESULTS}/{name}" for name in path]


def sidecars(paths):
    return f"{paths}.json" if isinstance(paths, str) else [f"{path}.json" for path in paths]


def made(**inputs):
    """Inputs with their sidecars. Artefacts are ancient(), so only their sidecars cause reruns: a touched artefact
    reruns nothing, and a replaced artefact comes with another sidecar."""
    found = {}
    for name, path in inputs.items():
        if callable(path):
            found[name] = ancient(lambda wildcards, path=path: results(path(wildcards)))
            found[f"{name}_sidecar"] = lambda wildcards, path=path: sidecars(results(path(wildcards)))
        else:
            found[name] = ancient(results(path))
            found[f"{name}_sidecar"] = sidecars(results(path))
    return found


def makes(**outputs):
    """Outputs with their sidecars. If an output is a pair of a path and a place in the report, the report shows it."""
    found = {}
    for name, path in outputs.items():
        path, shown = path if isinstance(path, tuple) else (path, None)
        found[name] = reported(path, shown) if shown else results(path)
        found[f"{name}_sidecar"] = sidecars(results(path))
    return found


def reported(path, shown):
    """An entry of the report. Variants have a section of their own. The caption's file is named after the artefact; an
    analysis of the study's own has its caption among its params."""
    name, kind = Path(path).stem, "figure" if path.endswith(".svg") else "table"
    captions = CLONE / "workflow/report"
    own = any(path in study.units.analyses[unit].outputs for unit in own_analyses)
    caption = (
        "own" if own else f"{name}_figure" if kind == "figure" and (captions / f"{name}_figure.rst").exists() else name
    )

    return report(
        results(path),
        category=lambda wildcards: SECTIONS["Variants" if variant_of(wildcards) else shown.section],
        labels=lambda wildcards: {
            "what": " of ".join([shown.title, *filter(None, [variant_of(wildcards)])]),
            "kind": kind,
        },
        caption=f"../report/{caption}.rst",
    )


def numbered_sections():
    """Headings of the report by section. They begin with a number, since the report's menu is in alphabetical order."""
    units = [{**unit.tables, **unit.figures} for unit in plan.analyses.values()]
    names = in_reading_order(
        {"Models", "Similarity"} | {shown.section for unit in units for shown in unit.values() if shown}
    )
    names += ["Variants"] * bool(study.config.variants)
    digits = len(str(len(names)))
    return {name: f"{place:0{digits}} {name}" for place, name in enumerate(dict.fromkeys(names), 1)}


SECTIONS = numbered_sections()


def as_rst(text):
    """A text in which nothing is markup, for a caption."""
    return re.sub(r"([^\w\s])", r"\\\1", " ".join(text.split()))


def needs(estimate, device={"gpu": 0}):
    """Memory and time of each attempt, from `Needs` or a function of wildcards, and the device: no GPU, or `GPU`."""
    of = estimate if callable(estimate) else lambda wildcards: estimate
    return {
        "mem_mb": lambda wildcards, attempt: of(wildcards).grow(attempt).mem_mb,
        "runtime": lambda wildcards, attempt: of(wildcards).grow(attempt).minutes,
        **device,
    }


def variant_of(wildcards):
    """Name of a variant; empty for the study itself."""
    return wildcards.get("variant", "").removeprefix("variants/").removesuffix("/")


def any_of(names):
    """Wildcard constraint that matches one of some names, and nothing if there are no names."""
    return "|".join(map(re.escape, names)) or "(?!)"


def user_file(name):
    """A file of the user, as a command's argument; empty if the study names none."""
    return str(study.files.get(name, ""))


def preparation():
    """Shell text that every command starts with: see job.sh."""
    # If conda is used, its own interpreter must come first.
    methods = workflow.deployment_settings.deployment_method
    interpreter = "" if DeploymentMethod.CONDA in methods else os.path.dirname(sys.executable)
    words = [f"{CLONE}/workflow/rules/job.sh", f"{RESULTS}/{JOBS}", interpreter, f"{COPIES}={RESULTS}/{FOLDER}"]
    words += [f"{CONSENT}=1"] * consents()
    return f". {shlex.join(words)}".replace("{", "{{").replace("}", "}}")


def command(*words, more=""):
    """Shell text of a command. The command reads its step from standard input, because the step of a study of a
    thousand models exceeds the length limit of an argument."""
    return f"{preparation()}\npython -m sat {' '.join(words)} 2> {{log:q}} <<'STEP'\n{{params.step}}\n{more}STEP"


def start_of(wildcards):
    """Weights from which a model's training starts; none if it starts from random weights."""
    return [f"pretrained/{wildcards.model}.safetensors"] if study.fine_tuned(wildcards.model) else []


def model_at(place):
    """Name of the model in weights/<model> or pretrained/<model>."""
    return place.partition("/")[2]


def classes_of(wildcards):
    """The manifest, for a net of a code file whose row does not say how many classes it has."""
    return ["images/manifest.csv"] if plan.pretrained(model_at(wildcards.place)).inputs else []


def gate_of(wildcards):
    """The gate of an attack that has to run; if the gate fails, the attack does not run.

    An attack that is finished does not depend on its gate, so that another min_accuracy repeats no attack. An
    ancient() input would not be enough: if the gate has to run, Snakemake does not check the attack's own changes
    any more, and skips the attack if its changed inputs are all ancient.
    """
    wanted = plan.adversarial(wildcards.model, variant_of(wildcards))
    return [] if is_made(results(wanted.path), wanted.step) else results(plan.gate(wildcards.model).path)


def paths_of(artefacts):
    """Paths of the plan's artefacts below results/<study>/; a single artefact gives a single path."""
    return [artefact.path for artefact in artefacts] if isinstance(artefacts, (list, tuple)) else artefacts.path


def input_of(analysis, key):
    """Paths of an analysis's input, found only where they are needed: each job of a cluster parses this file too."""
    return lambda wildcards: paths_of(plan.analysis(analysis)[0].inputs[key])


def clean_of_all(wildcards):
    """Predictions of all models in use."""
    return [f"clean/{model}.h5" for model in study.used]


def tile_of(wildcards):
    return plan.tile(wildcards.target, wildcards.source, variant_of(wildcards))


def teacher_of(wildcards):
    """Weights of a student's teacher; none if it has no teacher."""
    return [] if wildcards.teacher == ALONE else [f"weights/{wildcards.teacher}.safetensors"]
