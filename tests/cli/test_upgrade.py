"""After an update of the code: what runs again and what it costs, before it does; results of before stay readable."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import pandas as pd
import pytest

import sat as library
from projects import Project, unwrapped
from sat.errors import SatError
from sat.store.artefact import read_sidecar

pytestmark = pytest.mark.slow


@pytest.fixture
def updated(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A finished project, and then an attack and an analysis that mean something else."""
    project.raise_version("attack")
    project.raise_version("groups")
    monkeypatch.setattr("sat.study.lock.LOCK", project.folder / "workflow/sat/stages.lock.json")
    return project


def now(project: Project, stage: str) -> int:
    return json.loads((project.folder / "workflow/sat/stages.lock.json").read_text())[stage]["version"]


def test_plan_names_versions_files_and_cost_as_snakemake_would_run(updated: Project):
    before = updated.state("**/*")
    said = unwrapped(updated.sat("plan").stdout)
    version = now(updated, "groups")
    sets = "results/tiny/adversarial/byobnet.h5, results/tiny/adversarial/resnet.h5 and 1 more"
    assert f"attack: version {now(updated, 'attack') - 1}, now {now(updated, 'attack')}: 3 file(s), {sets}" in said
    assert f"groups: version {version - 1}, now {version}: 4 file(s), results/tiny/analysis/groups.csv" in said
    planned = updated.planned()
    files, jobs, counts = re.search(
        r"So ([\d,]+) file\(s\) of ([\d,]+) job\(s\) are made again: (.*?)\.", said
    ).groups()
    assert int(jobs) == sum(map(len, planned.values())) and int(files) > int(jobs)
    assert {count.rpartition(" ")[0] for count in counts.split(", ")} == set(planned)
    firsts = [updated.results / path for paths in planned.values() for path in paths]
    number, unit = re.search(r"Those jobs took (\d+) (s|min) when they ran", said).groups()
    took, least = int(number) * {"s": 1, "min": 60}[unit], sum(read_sidecar(path)["seconds"] for path in firsts)
    # Snakemake's own measurement holds the start of Python too.
    measured = [path.read_text().splitlines() for path in (updated.results / "benchmarks").rglob("*.tsv")]
    assert 0.7 * least <= took <= 30 + sum(float(rows[1].split("\t")[0]) for rows in measured)
    assert updated.state("**/*") == before


def test_plan_says_nothing_of_versions_where_none_has_changed(finished: Project):
    assert "Versions that have changed" not in finished.sat("plan").stdout


def test_commands_read_results_of_earlier_versions_and_say_so(finished: Project, updated: Project):
    caution = f"attack: version {now(updated, 'attack') - 1}, now {now(updated, 'attack')}"
    for words in (["summary"], ["table", "most_similar"], ["table", "groups", "--latex"]):
        fresh, earlier = finished.sat(*words), updated.sat(*words)
        assert earlier.returncode == 0 and earlier.stdout == fresh.stdout
        assert caution in unwrapped(earlier.stderr) and "version" not in fresh.stderr
    why = updated.sat("why", "results/tiny/similarity/sat.csv")
    assert why.returncode == 0 and caution in unwrapped(why.stdout)
    assert "earlier versions" not in finished.sat("why", "results/tiny/similarity/sat.csv").stdout


def test_python_reads_results_of_earlier_versions_with_a_warning_and_refuses_other_settings(updated: Project):
    by_pandas = pd.read_csv(updated.results / "similarity/sat.csv", index_col=0)
    for place in (updated.results, updated.folder / "config.yaml"):
        results = library.open_study(place)
        with pytest.warns(UserWarning, match=r"made by earlier versions \(attack: version"):
            pd.testing.assert_frame_equal(results.matrix, by_pandas, check_names=False)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(results.pairs) == 9, "it is said once"
    other = library.open_study(updated.folder / "config.yaml", config={"attack": {"steps": 4}})
    with pytest.raises(SatError, match="made by another step"):
        other.matrix  # noqa: B018


def test_keys_that_a_later_version_does_not_know_keep_nobody_from_the_results(project: Project):
    from sat.store.artefact import write_sidecar

    path: Path = project.results / "study.json"
    record = read_sidecar(path)
    del record["sidecar_sha256"]
    record["params"]["config"]["attack"]["forgotten"] = 3
    write_sidecar(path, record)
    with pytest.warns(UserWarning, match=r"keys are left out: config\.attack\.forgotten"):
        assert library.open_study(project.results).matrix.shape == (3, 3)
