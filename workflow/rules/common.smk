# What all rules share: the study, its plan, and how commands are called.
import os
import re
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

sys.path.insert(0, f"{workflow.basedir}/workflow")

from sat.errors import SatError
from sat.store.environment import export_git
from sat.store.user_files import register
from sat.study.forecast import Forecast
from sat.store.step import ALONE
from sat.study.plan import Plan, split_variant, variant_folder
from sat.study.study import build_study

try:
    study = build_study(
        config,
        [Path(file) for file in workflow.overwrite_configfiles] or [Path(workflow.basedir, "config.yaml")],
    )
    RESULTS = f"results/{study.name}"
    # A job of the cluster parses this file too, and takes what the main process has registered.
    plan = Plan(study, register(study.files, Path(RESULTS), write=workflow.is_main_process))
except SatError as error:
    raise WorkflowError(str(error)) from None

forecast = Forecast(plan)
compute = study.config.compute


# A job of the cluster parses this file too, and keeps what the main process has exported.
if workflow.is_main_process:
    export_git(Path(workflow.basedir))


def environment_prefix():
    """Shell lines before every command: strict mode, the library, this interpreter."""
    lines = [f"export PYTHONPATH={shlex.quote(sys.path[0])}"]
    # glibc gives the memory of every layer back to the kernel, and asks for it again in the next one.
    # To keep it is a tenth of a small net's time on a CPU.
    lines.append("export MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=1073741824 MALLOC_TOP_PAD_=67108864")
    # Conda's own interpreter comes first where conda is used.
    if DeploymentMethod.CONDA not in workflow.deployment_settings.deployment_method:
        lines.append(f"export PATH={shlex.quote(os.path.dirname(sys.executable))}:$PATH")
    return "; ".join(["set -euo pipefail", *lines, ""])


shell.prefix(environment_prefix())


wildcard_constraints:
    model="|".join(map(re.escape, plan.needed)),
    target="|".join(plan.tiles),
    source="|".join(plan.tiles),
    split="train|eval|attack",
    # The folder of a variant; nothing for the study itself, which comes first.
    variant="|" + "|".join(re.escape(variant_folder(name)) for name in study.config.variants),


# A big artefact is ancient() as an input, and its sidecar is the true one: a touched file
# reruns nothing, a replaced one comes with another sidecar.
def sidecars(paths):
    return [f"{path}.json" for path in paths]


def weights_of(tile):
    return [f"{RESULTS}/weights/{model}.safetensors" for model in plan.tiles[tile]]


def variant_of(wildcards):
    """Name of a variant; empty for the study itself."""
    return split_variant(wildcards.variant)[0]


def adversarial_of(wildcards):
    return [f"{RESULTS}/{wildcards.variant}adversarial/{model}.h5" for model in plan.tiles[wildcards.source]]


def tile_needs(wildcards):
    return forecast.tile(wildcards.target, wildcards.source, variant_of(wildcards))


def tiles_of(wildcards):
    """Tiles of the study, or of a variant that has its own."""
    variant = variant_of(wildcards)
    folder = variant_folder(variant) if variant and plan.attacks_anew(variant) else ""
    return [f"{RESULTS}/{folder}tiles/{target}/{source}.h5" for target, source in plan.used_tiles]


def report_section(title):
    """Where in the report a table stands: variants apart, each under its name."""
    return lambda wildcards: "Variants" if wildcards.variant else title


def report_labels(what):
    return lambda wildcards: {"what": " of ".join([what, *filter(None, [variant_of(wildcards)])]), "kind": "table"}


def teacher_of(wildcards):
    """Weights of a student's teacher; none of one that learns alone."""
    return [] if wildcards.teacher == ALONE else [f"{RESULTS}/weights/{wildcards.teacher}.safetensors"]


def any_of(names):
    """Wildcard constraint: one of some names; nothing where there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def model_at(place):
    """The model of weights/<model> or pretrained/<model>."""
    return place.partition("/")[2]


def start_of(model):
    """Weights that a model's training starts from, if it does not start from random ones."""
    return [f"{RESULTS}/pretrained/{model}.safetensors"] if study.fine_tuned(model) else []


def user_file(name):
    """A file of the user's, as a command's argument: empty where the study names none."""
    return str(study.files.get(name, ""))


# Tables of pairs and models, which a study of a matrix does not have.
SIMILARITY = [] if study.config.matrix else [f"{RESULTS}/similarity/{name}.csv" for name in ("most_similar", "models")]


def attack_list(wildcards):
    return user_file("images.attack_images") if wildcards.split == "attack" else ""


# Of jobs that run models. Clusters take --gpus or --gres, seldom both; gpu_jobs is what a cap on GPUs counts.
GPUS = 1 if compute.request == "gpus" else 0
GRES = "gpu:1" if compute.request == "gres" else None
GPU_JOBS = 1 if compute.uses_gpu else 0
# Of one machine with several GPUs, so it stands in the profile: default-resources: [jobs_per_gpu=2].
defaults = workflow.resource_settings.default_resources or {}
JOBS_PER_GPU = defaults["jobs_per_gpu"].value if "jobs_per_gpu" in defaults else 1
