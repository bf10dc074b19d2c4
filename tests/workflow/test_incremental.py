"""What reruns and what does not: each promise proved by Snakemake itself on a finished study."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from itertools import combinations
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from conftest import ADDED, ROWS, TINY
from projects import ABSENT, ADDED_JOBS, ANALYSES, PAGES, Project
from sat.store import hdf5
from sat.store.artefact import SEAL, write_sidecar
from sat.store.files import file_digest
from sat.study.lock import stages
from sat.study.plan import Plan
from sat.study.study import load_study

pytestmark = pytest.mark.slow

BELOW = {"similarity", *ANALYSES, *PAGES, "all"}
ARTEFACTS = "{images,weights,clean,adversarial,tiles}/**/*"


def rules(planned: dict[str, list[str]]) -> set[str]:
    return set(planned) - {"all"}


def test_a_second_run_has_nothing_to_do(project: Project):
    assert project.planned() == {}


def test_touching_every_file_in_random_order_reruns_nothing(project: Project):
    files = [path for path in project.folder.rglob("*") if path.is_file() and ".snakemake" not in path.parts]
    assert len(files) > 100
    random.Random(0).shuffle(files)
    for offset, path in enumerate(files):
        # Seconds apart, so that the order is beyond doubt.
        os.utime(path, (offset * 10 + 1_790_000_000,) * 2)
    assert project.planned() == {}


def test_moving_the_folder_reruns_nothing(project: Project, tmp_path: Path):
    moved = Project(project.folder.rename(tmp_path / "elsewhere"))
    assert moved.planned() == {}
    assert moved.sat("verify").returncode == 0


NEW = {
    **ADDED_JOBS,
    "clusters": ["analysis/clusters.csv"],
    **{name: [f"analysis/{name}.csv"] for name in sorted(ANALYSES - {"clusters", "figures"})},
    "figures": ["figures/clustermap.svg"],
    "study": ["study.json"],
    "examples": ["report/examples.parquet"],
    "atlas": ["report/atlas.html"],
    "crate": ["provenance/ro-crate-metadata.json"],
}


def pack_with_gzip(project: Project) -> None:
    """Make a study as if it had been finished before Zstandard was chosen: its files, and what sidecars say of them."""
    sidecars, changed = list(project.results.rglob("*.json")), {}
    for path in packed(project):
        times, before = path.stat(), file_digest(path)
        with hdf5.reading(path) as file:
            arrays, attributes = {name: file[name][:] for name in file}, dict(file.attrs)
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                gzip = {"chunks": (1, *values.shape[1:]), "compression": "gzip", "compression_opts": 1}
                file.create_dataset(name, data=values, **(gzip if values.ndim == 4 else {}))
            file.attrs.update(attributes)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        changed[before] = file_digest(path)
    for path in sidecars:
        times, text = path.stat(), path.read_text()
        for before, after in changed.items():
            text = text.replace(before, after)
        record = json.loads(text)
        if record.pop(SEAL, None) and text != path.read_text():
            write_sidecar(path, record)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def packed(project: Project) -> list[Path]:
    return [*project.results.glob("images/*.h5"), *project.results.glob("adversarial/*.h5")]


def codec(path: Path) -> str | None:
    with h5py.File(path) as file:
        return file["image" if path.parent.name == "images" else "perturbation"].compression


def test_a_model_in_a_new_cohort_runs_its_own_jobs_alone(project: Project, finished: Project, tmp_path: Path):
    # The old models' files are of the codec of earlier versions: the harder case.
    pack_with_gzip(project)
    assert {codec(path) for path in packed(project)} == {"gzip"} and len(packed(project)) == 6
    assert project.planned() == {}
    assert project.sat("verify", "--full").returncode == 0
    old = {
        pattern: project.state(pattern)
        for pattern in ("tiles/**/*", "adversarial/*", "weights/*", "clean/*", "images/*")
    }
    project.write_table([ADDED, *ROWS])
    assert project.planned() == NEW
    project.run()
    for pattern, before in old.items():
        after = project.state(pattern)
        assert before.items() <= after.items(), "an old file has changed"
        assert len(after) > len(before) or pattern == "images/*"
    assert project.planned() == {}
    assert project.sat("verify", "--full").returncode == 0
    assert codec(project.results / "adversarial/vit.h5") == "gzip"
    assert codec(project.results / "adversarial/mambaout.h5") != "gzip"

    # Another day, another model: again its own jobs, and nothing else.
    second = {**ADDED, "model": "convnext", "architecture": "test_convnext", "cohort": "3"}
    project.write_table([*ROWS, second, ADDED])
    planned = project.planned()
    assert planned["train"] == ["weights/convnext.safetensors"]
    assert planned["attack"] == ["adversarial/convnext.h5"]
    assert len(planned["evaluate"]) == 7 and all("c3-000" in tile for tile in planned["evaluate"])

    # From scratch, the same models give the same arrays, byte for byte.
    project.write_table([*ROWS, ADDED])
    scratch = Project.new(tmp_path / "scratch", project.config, [ADDED, *reversed(ROWS)])
    scratch.run()
    compared = 0
    for path in sorted(project.results.glob("**/*.h5")):
        with hdf5.reading(path) as ours, hdf5.reading(scratch.results / path.relative_to(project.results)) as theirs:
            assert set(ours) == set(theirs)
            for name in ours:
                assert ours[name].dtype == theirs[name].dtype
                # Where nothing was attacked there is no probability.
                nan = ours[name].dtype.kind == "f"
                assert np.array_equal(ours[name][:], theirs[name][:], equal_nan=nan), (path, name)
                compared += 1
    assert compared > 50
    for name in ("similarity/sat.csv", "similarity/pairs.parquet", "analysis/clusters.csv", "figures/clustermap.svg"):
        assert (project.results / name).read_bytes() == (scratch.results / name).read_bytes(), name
    for model in ("resnet", "mambaout"):
        name = f"weights/{model}.safetensors"
        assert (project.results / name).read_bytes() == (scratch.results / name).read_bytes()


def test_a_measure_of_gradients_adds_them_and_reruns_its_own_analysis_alone(project: Project):
    """The study is finished: nothing but gradients is computed by models, and another batch size gives the same."""
    before = project.state("clean/**/*")
    project.configure(measures=["agreement", "input_gradients"])
    models = sorted(row["model"] for row in ROWS)
    gradients = [f"gradients/{model}.h5" for model in models]
    assert project.planned() == {
        "study": ["study.json"],
        "gradients": gradients,
        "measures": ["analysis/measures.csv"],
        "atlas": ["report/atlas.html"],
        "crate": ["provenance/ro-crate-metadata.json"],
    }
    project.run()
    assert project.planned() == {} and project.sat("verify", "--full").returncode == 0
    assert project.state("clean/**/*") == before
    found = []
    for path in gradients:
        with h5py.File(project.results / path) as file, h5py.File(project.results / "images/attack.h5") as images:
            assert file["gradient"].shape == (48, 3 * 32 * 32) and file["gradient"].dtype == np.float16
            assert np.array_equal(file["id"][:], images["id"][:]), "the study has fewer images than the sample"
            found.append(file["gradient"][:].astype(float))
    first, second = found[0], found[1]
    known = first.any(axis=1) & second.any(axis=1)
    cosine = (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    pairs = pd.read_csv(project.results / "analysis/measures_pairs.csv").set_index(["model_a", "model_b"])
    assert pairs.loc[(models[0], models[1]), "input_gradients"] == pytest.approx(cosine[known].mean(), abs=1e-9)
    assert 0 < cosine[known].mean() < 1, "nets that were trained on the same digits look at similar things"

    digest = project.state("gradients/vit.h5")["gradients/vit.h5"][1]
    project.configure(compute={"batch_size": 16})
    project.run("--forcerun", "gradients")
    assert project.state("gradients/vit.h5")["gradients/vit.h5"][1] == digest

    project.configure(measures=["agreement"])
    assert rules(project.planned()) == {"study", "measures", "atlas", "crate"}


def test_a_re_sorted_table_reruns_nothing(project: Project):
    project.write_table(sorted(ROWS, key=lambda row: row["model"], reverse=True))
    assert project.planned() == {}


def test_a_row_that_says_use_no_reruns_similarity_and_below(project: Project):
    """Edited by hand. The next test retires by command, and runs what is planned."""
    for model in ("resnet", "vit"):
        project.write_table([{**row, "use": "no" if row["model"] == model else "yes"} for row in ROWS])
        assert rules(project.planned()) == {"study", "similarity", *ANALYSES, *PAGES}


def own(project: Project, model: str) -> dict[str, tuple[int, str]]:
    """State of the files of one model alone."""
    folders = ("weights", "clean", "adversarial", "variants/weak/adversarial")
    return {path: state for folder in folders for path, state in project.state(f"{folder}/{model}.*").items()}


def held(project: Project, pattern: str) -> set[str]:
    """Models that tiles hold."""
    found = set()
    for path in project.results.glob(pattern):
        with h5py.File(path) as file:
            found |= {*file["target"].asstr()[:], *file["source"].asstr()[:]}
    return found


@pytest.mark.parametrize("model", ["resnet", "vit"], ids=["among others in its tile", "alone in its tile"])
def test_a_retired_model_is_not_attacked_again_when_the_attack_changes(project: Project, model: str):
    before, tiles = own(project, model), project.state("tiles/**/*")
    assert len(before) == 7, "three files with their sidecars, and a gate"
    done = project.sat("retire", model)
    assert done.returncode == 0, done.stdout + done.stderr
    assert rules(project.planned()) == {"study", "similarity", *ANALYSES, *PAGES}
    project.run()
    assert own(project, model) == before and project.state("tiles/**/*") == tiles
    assert model not in (project.results / "similarity/sat.csv").read_text()
    assert project.planned() == {} and project.sat("verify", "--full").returncode == 0

    project.configure(attack={**TINY["attack"], "steps": 2})
    planned = project.planned()
    others = {row["model"] for row in ROWS} - {model}
    assert rules(planned) == {"study", "attack", "evaluate", "similarity", *ANALYSES, *PAGES}
    assert planned["attack"] == sorted(f"adversarial/{name}.h5" for name in others)
    project.run()
    assert own(project, model) == before
    assert held(project, "tiles/c1-000/c1-000.h5") == others - ({"vit"} if model == "resnet" else set())
    assert project.planned() == {} and project.sat("verify", "--full").returncode == 0

    # Back again, the model has its weights and takes only its attack.
    assert project.sat("retire", model, "--undo").returncode == 0
    planned = project.planned()
    assert planned["attack"] == [f"adversarial/{model}.h5"] and not {"train", "clean"} & set(planned)


def test_a_model_retired_from_a_study_with_variants(project: Project):
    """Each variant's tiles hold the model while the variant's own attack stays."""
    weak = {"attack": {"eps": "12/255", "step": "4/255", "steps": 2}}
    project.configure(variants={"weak": weak, "few": {"attack_images": 16}})
    project.run()
    assert project.sat("retire", "resnet").returncode == 0
    assert rules(project.planned()) == {"study", "similarity", *ANALYSES, *PAGES, "ablation"}
    before = own(project, "resnet")

    # A change of the study's attack alone, then of the variant's alone: only sets of the others are made.
    project.configure(attack={**TINY["attack"], "steps": 2})
    assert project.planned()["attack"] == ["adversarial/byobnet.h5", "adversarial/vit.h5"]
    project.configure(attack=TINY["attack"], variants={"weak": {"attack": {**weak["attack"], "steps": 1}}})
    sets = ["variants/weak/adversarial/byobnet.h5", "variants/weak/adversarial/vit.h5"]
    assert project.planned()["attack"] == sets
    project.run()
    assert own(project, "resnet") == before
    assert held(project, "tiles/c1-000/c1-000.h5") == {"byobnet", "resnet"}
    assert held(project, "variants/weak/tiles/c1-000/c1-000.h5") == {"byobnet"}
    assert project.planned() == {} and project.sat("verify", "--full").returncode == 0


DESCENDANTS = {
    "study": {"study", "atlas", "crate"},
    "manifest": {"manifest", "images", "train", "clean", "gate", "attack", "evaluate", *BELOW},
    "images": {"images", "train", "clean", "gate", "attack", "evaluate", *BELOW},
    "train": {"train", "clean", "gate", "attack", "evaluate", *BELOW},
    # This study has no such weights; test_own_models.py has one that does.
    "hub": set(),
    "checkpoint": set(),
    # test_code_files.py has such nets.
    "code": set(),
    "clean": {"clean", "gate", "attack", "evaluate", *BELOW},
    "gate": {"gate", "crate"},
    # No measure of this study compares gradients.
    "gradients": set(),
    "attack": {"attack", "evaluate", *BELOW},
    "evaluate": {"evaluate", *BELOW},
    "similarity": BELOW,
    "clusters": {"clusters", "ensembles", "stability", "figures", "atlas", "crate", "all"},
    "effects": {"effects", "figures", "atlas", "crate", "all"},
    **{name: {name, "atlas", "crate"} for name in ANALYSES - {"clusters", "effects"}},
    "examples": set(PAGES),
    "atlas": {"atlas", "crate"},
    "crate": {"crate"},
    # This study has no matrix of others, and no student.
    **{name: set() for name in {"matrix", "distil"} | ABSENT},
}


ELSEWHERE = {stage for stage, below in DESCENDANTS.items() if not below}


@pytest.mark.parametrize("stage", [*(stage for stage in stages() if stage not in ELSEWHERE), "those of other studies"])
def test_raising_a_version_reruns_exactly_the_stage_and_what_follows(project: Project, stage: str):
    for one in ELSEWHERE if stage not in DESCENDANTS else [stage]:
        project.raise_version(one)
    assert rules(project.planned()) == DESCENDANTS.get(stage, set()) - {"all"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"eps_s": 0.5}, {"study", "atlas", "crate", *BELOW}),
        ({"min_whitebox": 0.5}, {"study", "atlas", "crate", *BELOW}),
        ({"min_accuracy": 0.01}, {"study", "atlas", "crate", "gate"}),
        ({"clusters": {"k": 3}}, {"study", "atlas", "crate", "clusters", "ensembles", "stability", "figures"}),
        ({"ensembles": {"sizes": [2]}}, {"study", "atlas", "crate", "ensembles"}),
        ({"measures": ["agreement"]}, {"study", "atlas", "crate", "measures"}),
        ({"resampling": {"replicates": 50}}, {"study", "atlas", "crate", "stability"}),
        ({"groups": ["family", "architecture"]}, {"study", "atlas", "crate", "groups", "figures"}),
        ({"tile_size": 1}, {"study", "atlas", "crate", "evaluate", *BELOW}),
        (
            {"attack": {"eps": "24/255", "step": "8/255", "steps": 4}},
            {"study", "attack", "evaluate", *BELOW},
        ),
        ({"attack": {"eps": "0.09411764705882353", "step": "8/255", "steps": 3}}, {"study", "atlas", "crate"}),
        ({"compute": {"batch_size": 64, "threads": 2, "max_megapixels": 9}}, set()),
        ({"compute": {"device": "cuda"}}, set()),
    ],
)
def test_a_setting_reruns_what_depends_on_it(project: Project, change: dict[str, object], expected: set[str]):
    project.configure(**change)
    assert rules(project.planned()) == expected - {"all"}


KEYS = {
    "min_accuracy=0.01": {"study", "atlas", "crate", "gate"},
    "eps_s=0.5": {"study", "atlas", "crate", *BELOW},
    "min_whitebox=0.5": {"study", "atlas", "crate", *BELOW},
    "confidence=0.9": {"study", "atlas", "crate", *BELOW},
    "tile_size=1": {"study", "atlas", "crate", "evaluate", *BELOW},
    "attack={eps: 16/255, step: 8/255, steps: 3}": {"study", "attack", "evaluate", *BELOW},
    "clusters={k: 3}": {"study", "atlas", "crate", "clusters", "ensembles", "stability", "figures"},
    "ensembles={sets: 7}": {"study", "atlas", "crate", "ensembles"},
    "resampling={replicates: 50}": {"study", "atlas", "crate", "stability"},
    "measures=[agreement]": {"study", "atlas", "crate", "measures"},
}
"""Settings, each with what a change of it alone reruns."""


# Where one reruns all that the other does, the other could hide nothing.
APART = [
    pair for pair in combinations(KEYS, 2) if not (KEYS[pair[0]] <= KEYS[pair[1]] or KEYS[pair[1]] <= KEYS[pair[0]])
]


@pytest.mark.parametrize("pair", APART, ids=lambda pair: " and ".join(key.split("=")[0] for key in pair))
def test_two_settings_at_once_rerun_what_each_reruns(finished: Project, pair: tuple[str, str]):
    """A job that must run must not hide that its descendants have other settings too."""
    assert rules(finished.planned("--config", *pair)) == (KEYS[pair[0]] | KEYS[pair[1]]) - {"all"}


def test_one_call_brings_two_changed_settings_to_their_end(project: Project):
    project.configure(min_accuracy=0.01, attack={"eps": "16/255", "step": "8/255", "steps": 3})
    planned = project.planned()
    assert len(planned["gate"]) == len(planned["attack"]) == 3
    project.run()
    assert project.planned() == {}
    assert project.sat("verify").returncode == 0


def test_a_gate_that_fails_keeps_its_model_from_being_attacked(project: Project):
    accuracy = {
        path.name.split(".")[0]: json.loads(path.read_text())["facts"]["accuracy"]
        for path in project.results.glob("clean/*.h5.json")
    }
    worst, *others = sorted(accuracy, key=accuracy.__getitem__)
    between = (accuracy[worst] + accuracy[others[0]]) / 2
    before = project.state("adversarial/*.h5")
    project.configure(min_accuracy=between, attack={"eps": "16/255", "step": "8/255", "steps": 3})
    done = project.snakemake("--keep-going")
    assert done.returncode != 0 and f"model {worst!r}: gets " in done.stdout + done.stderr
    after = project.state("adversarial/*.h5")
    assert all(after[f"adversarial/{name}.h5"] != before[f"adversarial/{name}.h5"] for name in others)
    assert after.get(f"adversarial/{worst}.h5", before[f"adversarial/{worst}.h5"]) == before[f"adversarial/{worst}.h5"]
    log = project.results / f"logs/attack/{worst}.log"
    assert '"eps": 16' not in log.read_text() and "'eps': 16" not in log.read_text()


def test_a_space_in_a_shell_command_reruns_nothing(project: Project):
    rules = project.folder / "workflow/rules/common.smk"
    text = rules.read_text()
    rules.write_text(text.replace("\\npython -m sat ", "\\npython  -m sat "))
    assert rules.read_text() != text
    assert project.planned() == {}


def test_tile_size_1_is_a_job_a_pair(project: Project):
    project.configure(tile_size=1)
    assert len(project.planned()["evaluate"]) == 9


def test_a_replaced_artefact_reruns_its_consumers(project: Project):
    adversarial = project.results / "adversarial/vit.h5"
    hdf5.codec()  # HDF5 knows it from then on
    with h5py.File(adversarial, "r+") as file:
        file["perturbation"][0] = 0
    sidecar = project.results / "adversarial/vit.h5.json"
    sidecar.write_text(sidecar.read_text().replace('"sha256": "', '"sha256": "0'))
    planned = project.planned()
    assert "attack" not in planned
    assert planned["evaluate"] == ["tiles/c1-000/c1-001.h5", "tiles/c1-001/c1-001.h5"]


@pytest.mark.parametrize("lost", ["adversarial/vit.h5", "weights/vit.safetensors"])
def test_a_lost_artefact_is_made_again_if_a_tile_alone_needs_it(project: Project, lost: str):
    """Where nothing needs it, nothing is made."""
    (project.results / lost).unlink()
    assert project.planned() == {}
    makers = {"adversarial": ("attack", "c1-000/c1-001"), "weights": ("train", "c1-001/c1-000")}
    stage, tile = makers[lost.partition("/")[0]]
    (project.results / f"tiles/{tile}.h5").unlink()
    planned = project.planned(f"results/tiny/tiles/{tile}.h5")
    assert planned[stage] == [lost]
    assert planned["evaluate"] == [f"tiles/{tile}.h5"]


def stale(project: Project) -> tuple[set[str], str]:
    done = project.sat("verify")
    assert done.returncode == 1, done.stdout + done.stderr
    found = re.findall(r"^(?:missing|stale|changed|downstream) +results/tiny/(\S+): ", done.stdout, re.MULTILINE)
    return set(found), done.stdout


def test_verify_knows_what_is_stale_when_snakemake_has_forgotten(project: Project):
    shutil.rmtree(project.folder / ".snakemake/metadata")
    project.raise_version("evaluate")
    # Snakemake itself has nothing to compare with, and sees files that are there; the Snakefile tells it.
    assert "evaluate" in project.planned()
    found, output = stale(project)
    tiles = {f"tiles/{target}/{source}.h5" for target in ("c1-000", "c1-001") for source in ("c1-000", "c1-001")}
    names = ("pairs.parquet", "sat.csv", "affinity.csv", "most_similar.csv", "models.csv")
    similarity = {f"similarity/{name}" for name in names}
    plan = Plan(load_study([project.folder / "config.yaml"]))
    below = {name for name in plan.artefacts() if name.startswith(("analysis/", "figures/", "report/", "provenance/"))}
    assert len(below) > 20 and found == tiles | similarity | below
    # The command that it prints repairs everything, and runs nothing else.
    command = output.strip().splitlines()[-1].split()
    assert command[0] == "snakemake"
    before = project.state("adversarial/*")
    project.run(*command[1:])
    assert project.sat("verify", "--full").returncode == 0
    assert project.state("adversarial/*") == before


def test_verify_finds_a_restored_older_file_and_bit_rot(project: Project):
    path = project.results / "adversarial/vit.h5"
    original = path.read_bytes()
    # An older attack, restored over the new one, with a time as old as it is.
    with h5py.File(path, "r+") as file:
        file["attacked"][0] = ~file["attacked"][0]
        file.attrs["content_sha256"] = "0" * 64
    os.utime(path, (1_700_000_000,) * 2)
    assert project.planned() == {}, "Snakemake sees nothing"
    found, output = stale(project)
    assert "adversarial/vit.h5" in found and "adversarial/resnet.h5" not in found
    assert "tiles/c1-000/c1-001.h5" in found and "tiles/c1-000/c1-000.h5" not in found
    assert "content is not what its sidecar" in output

    # One bit of one image: its stored digest stands, so only a full check can tell.
    with h5py.File(project.results / "adversarial/resnet.h5") as file:
        data = file["perturbation"].id
        offset = data.get_chunk_info(data.get_num_chunks() - 1).byte_offset
    path.write_bytes(original)
    rotten = project.results / "adversarial/resnet.h5"
    content = bytearray(rotten.read_bytes())
    content[offset + 20] ^= 1
    rotten.write_bytes(content)
    assert project.sat("verify").returncode == 0
    full = project.sat("verify", "--full")
    assert full.returncode == 1 and "results/tiny/adversarial/resnet.h5: " in full.stdout


def test_readers_refuse_what_another_step_made(project: Project):
    for suffix in ("", ".json"):
        shutil.copy(project.results / f"clean/resnet.h5{suffix}", project.results / f"clean/vit.h5{suffix}")
    step = Plan(load_study([project.folder / "config.yaml"])).adversarial("vit")
    inputs = {"weights": "weights/vit.safetensors", "images": "images/attack.h5", "clean": "clean/vit.h5"}
    words = [word for name, path in inputs.items() for word in (f"--{name}", f"results/tiny/{path}")]
    done = project.sat("attack", *words, "--out", "results/tiny/out.h5", given=step.json)
    assert done.returncode == 1
    assert "results/tiny/clean/vit.h5: was made by another step" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project.results / "out.h5").exists()
