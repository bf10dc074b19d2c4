"""A study with an attack, a measure and an analysis of its own, one file each."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - h5py reads images with it
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from conftest import ROWS, TINY
from projects import LAST, ROOT, Project, locked_copy, unwrapped
from sat import open_study
from sat.store.artefact import read_sidecar

pytestmark = pytest.mark.slow

EXAMPLE = ROOT / "examples/own_units"
FILES = ("nesterov.py", "kappa.py", "nearest.py")
TRUST = ("--config", "trust_code=true")
MARK = """
import __main__
with open("imported", "a") as file:
    print(getattr(__main__.__spec__, "name", None), file=file)
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The study, run once for all workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make(folder: Path) -> None:
        units = {"code": list(FILES), "measures": ["agreement", "kappa"], "nearest": 1}
        project = Project.new(folder, {**TINY, **units, "attack": {**TINY["attack"], "method": "nesterov"}}, ROWS)
        for name in FILES:
            shutil.copy(EXAMPLE / name, folder / name)
        with (folder / "nearest.py").open("a") as file:
            file.write(MARK)
        refused = project.snakemake("-n")
        said = refused.stdout + refused.stderr
        assert refused.returncode == 1 and all(f"{name} (digest" in said for name in FILES), said
        assert "declares the measure kappa" in said and "trust_code=true" in said, said
        assert not project.results.exists() and not (folder / "imported").exists()
        # The Snakefile imports nothing: one process for the declarations does.
        assert project.planned(*TRUST)["nearest"] == ["analysis/nearest.csv"]
        assert (folder / "imported").read_text() == "sat.study.declaring\n"
        # Now it is known what would run, and it may not run yet.
        assert len(project.planned()["attack"]) == 3
        refused = project.snakemake()
        said = refused.stdout + refused.stderr
        assert refused.returncode == 1 and "in the jobs of attack nesterov" in said, said
        project.run(*TRUST)

    return Project(locked_copy(shared / "own_units", make))


@pytest.fixture
def project(own: Project, tmp_path: Path) -> Project:
    return own.copy(tmp_path / "a copy")


def test_growing_attacks_all_images_again_where_the_attack_does_not_declare_them_independent(project: Project) -> None:
    done = project.sat("grow", "--half-width", "0.01")
    assert "The next run attacks all images with nesterov again" in unwrapped(done.stdout), done.stdout + done.stderr
    assert "are kept" not in done.stdout and not (project.results / ".shorter").exists()
    # Earlier versions kept such sets.
    kept, path = project.results / ".shorter/adversarial", "adversarial/vit.h5"
    kept.mkdir(parents=True)
    for name in (path, f"{path}.json"):
        shutil.copy2(project.results / name, kept)
    project.run(f"results/tiny/{path}", *TRUST)
    logs = (project.results / "logs/attack/vit.log").read_text()
    assert "all images are computed (an image's result may depend on other images)" in logs
    assert "continued" not in read_sidecar(project.results / path)["facts"]


def test_the_attack_keeps_within_its_ball_and_fools_its_net(own: Project) -> None:
    models = pd.read_csv(own.results / "similarity/models.csv")
    assert (models["whitebox"] > 0.5).all()
    with h5py.File(own.results / "images/attack.h5") as file:
        images = file["image"][:].astype(int)
    for path in (own.results / "adversarial").glob("*.h5"):
        with h5py.File(path) as file:
            change = file["perturbation"][:]
        assert change.dtype == np.int8 and np.abs(change.astype(int)).max() == 24
        assert (images + change).min() >= 0 and (images + change).max() <= 255


def test_the_measure_is_what_a_confusion_matrix_says_and_has_intervals(own: Project) -> None:
    table = pd.read_csv(own.results / "analysis/measures_pairs.csv")
    for row in table.itertuples():
        guesses = []
        for model in (row.model_a, row.model_b):
            with h5py.File(own.results / f"clean/{model}.h5") as file:
                guesses.append(file["eval_prediction"][:])
        both = confusion_matrix(*guesses, normalize="all")
        chance = both.sum(0) @ both.sum(1)
        assert row.kappa == pytest.approx((np.trace(both) - chance) / (1 - chance))
        assert row.kappa_low < row.kappa < row.kappa_high <= 1
    figure = (own.results / "figures/measures.svg").read_text()
    assert "agreement beyond" in figure, "its title"


def test_the_analysis_lists_the_largest_of_each_row_and_is_in_the_report(own: Project, project: Project) -> None:
    sat = pd.read_csv(own.results / "similarity/sat.csv", index_col=0)
    found = pd.read_csv(own.results / "analysis/nearest.csv", index_col="model")
    for model, row in sat.iterrows():
        assert found.loc[model, "nearest"] == row.drop(model).idxmax()
    assert open_study(own.results).tables["nearest"]["nearest"].tolist() == found["nearest"].tolist()
    project.run("--report", "report.zip")
    with zipfile.ZipFile(project.folder / "report.zip") as archive:
        page = "".join(archive.read(name).decode() for name in archive.namelist() if name.endswith((".html", ".js")))
    assert "nearest models of each model" in page
    assert "The models with the largest SAT, and whether they are of the same family.</p>" in page


def test_a_second_run_has_nothing_to_do_and_looking_needs_no_consent(project: Project) -> None:
    assert project.planned() == {}
    assert "Nothing to be done" in project.run(*TRUST)
    assert project.sat("verify", "--full").returncode == 0
    assert re.search(r"^nearest +1 +1 ", project.sat("status").stdout, re.MULTILINE)
    assert re.search(r"^nearest +1 ", project.sat("plan").stdout, re.MULTILINE)
    assert project.sat("check").returncode == 0
    again = project.sat("rerun", "results/tiny/analysis/nearest.csv", *TRUST)
    assert again.returncode == 0 and "the same" in again.stdout, again.stdout + again.stderr
    refused = project.sat("rerun", "results/tiny/analysis/nearest.csv")
    assert refused.returncode == 1 and "nearest.py, and runs with all your rights" in refused.stderr


def test_an_archive_brings_the_code_and_no_consent(own: Project, tmp_path: Path) -> None:
    archive, study = str(tmp_path / "own.zip"), "studies/tiny/study.yaml"
    done = own.sat("export", "--with", "all", "-o", archive)
    assert done.returncode == 0, done.stderr
    lab = Project.new(tmp_path / "lab")
    done = lab.sat("import", archive)
    assert done.returncode == 0 and not (lab.folder / "imported").exists(), done.stderr
    for name in FILES:
        assert (lab.folder / "studies/tiny" / name).read_bytes() == (own.folder / name).read_bytes()
    assert lab.planned("--configfile", study) == {}
    assert "all are as the study asks" in lab.sat("verify", study, "--full").stdout
    sample = ("reproduce", study, "--stages", "attack", "measures", "nearest")
    refused, run = lab.sat(*sample), lab.snakemake("--configfile", study, "--forceall")
    assert refused.returncode == run.returncode == 1 and refused.stdout == ""
    # It asks what a run asks.
    question = refused.stderr[refused.stderr.index("key 'code'") :].strip()
    assert question in run.stderr.replace(f"{lab.folder}/", "") and all(f"{name} (digest" in question for name in FILES)
    assert not (lab.folder / "imported").exists()
    done = lab.sat(*sample, *TRUST)
    assert done.returncode == 0 and (lab.folder / "imported").exists(), done.stdout
    assert re.findall(r"(\d) of \1 the same, byte for byte", done.stdout) == ["1", "4", "1"], done.stdout


def test_another_measure_reruns_exactly_its_own_steps(project: Project) -> None:
    path = project.folder / "kappa.py"
    path.write_text(path.read_text().replace("cohen_kappa_score(", "0.5 * cohen_kappa_score("))
    refused = project.snakemake("-n")
    assert refused.returncode == 1 and "kappa.py (digest" in refused.stdout + refused.stderr
    assert project.planned(*TRUST) == {
        "measures": ["analysis/measures.csv"],
        "atlas": ["report/atlas.html"],
        "crate": ["provenance/ro-crate-metadata.json"],
    }
    before = project.state("**/*")
    halves = pd.read_csv(project.results / "analysis/measures_pairs.csv")["kappa"] / 2
    project.run(*TRUST)
    after = project.state("**/*")
    elsewhere = ("logs", "bench", ".", "provenance/history")
    changed = {name for name in before if after[name] != before[name] and not name.startswith(elsewhere)}
    names = ("analysis/measures.csv", "analysis/measures_separation.csv", "analysis/measures_pairs.csv")
    outputs = {*names, "figures/measures.svg", *LAST}
    assert changed == outputs | {f"{name}.json" for name in outputs}
    assert pd.read_csv(project.results / "analysis/measures_pairs.csv")["kappa"].tolist() == pytest.approx([*halves])
    assert project.sat("verify").returncode == 0


def test_another_attack_is_made_again_with_all_that_follows(project: Project) -> None:
    path = project.folder / "nesterov.py"
    path.write_text(path.read_text() + "# changed\n")
    planned = project.planned(*TRUST)
    assert len(planned["attack"]) == 3 and not {"train", "clean", "images"} & set(planned)


def test_a_changed_copy_of_the_code_is_found_and_mended(project: Project) -> None:
    (copy,) = (project.results / "code").glob("*/kappa.py")
    copy.write_text(copy.read_text() + "# changed\n")
    done = project.sat("verify")
    assert done.returncode == 1 and f"{copy.parent.name}: has been changed" in done.stdout
    project.run(*TRUST)
    assert project.sat("verify").returncode == 0


def test_a_broken_attack_stops_with_its_name(project: Project) -> None:
    path = project.folder / "nesterov.py"
    path.write_text(
        path.read_text()
        .replace("eps=eps, norm", "eps=2 * eps, norm")
        .replace("eps / 255", "eps / 127")
        .replace("step / 255 * total", "step / 25 * total")
    )
    refused = project.snakemake(*TRUST, "--until", "attack")
    logs = "".join(log.read_text() for log in (project.results / "logs/attack").glob("*.log"))
    assert refused.returncode == 1
    assert re.search(r"attack 'nesterov': its function returns a perturbation of size \d+ \(linf\), beyond eps", logs)


def test_consent_in_a_profile_or_the_study_is_refused(project: Project, tmp_path: Path) -> None:
    shutil.rmtree(project.results / "code")
    (project.results / "units.json").unlink()
    profile = tmp_path / "profile"
    profile.mkdir()
    (profile / "config.yaml").write_text("config: [trust_code=true]\n")
    refused = project.snakemake("--profile", str(profile))
    assert refused.returncode == 1 and "stands in a config file or a profile" in refused.stdout + refused.stderr
    project.configure(trust_code=True)
    refused = project.snakemake()
    assert refused.returncode == 1 and "stands in a config file or a profile" in refused.stdout + refused.stderr
    assert not (project.results / "units.json").exists()
