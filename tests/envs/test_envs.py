"""The environments say the same: pip's requirements, conda's files, and what the project declares."""

import re
import tomllib

import pytest
import yaml

from conftest import ROOT

CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base", "snakemake": "snakemake-minimal"}
ONLY_MAIN = ("snakemake",)
"""Start of the names of what jobs do not need."""


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file):
    """Exact versions of a requirements file."""
    found = {}
    for line in (ROOT / "envs" / file).read_text().splitlines():
        match = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^;\s]+)", line.strip())
        if match:
            found[normalised(match[1])] = match[2]
        else:
            assert not line.strip() or line.startswith(("#", "-r ")), f"{file}: {line!r} is no exact version"
    return found


def conda(file):
    content = yaml.safe_load((ROOT / "envs" / file).read_text())
    assert content["channels"] == ["conda-forge", "nodefaults"] or file != "sat.yaml"
    found = {}
    for entry in content["dependencies"]:
        # What conda-forge lacks stands in a list for pip.
        for line in entry["pip"] if isinstance(entry, dict) else [entry]:
            name, _, version = line.replace("==", "=").partition("=")
            found[name] = version
    return found


@pytest.fixture(scope="module")
def declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {normalised(re.match(r"[A-Za-z0-9._-]+", line)[0]) for line in project["dependencies"]}


@pytest.mark.parametrize("file", ["sat.yaml", "snakemake.yaml"])
def test_conda_has_the_versions_of_pip(file):
    pip = pins("requirements.txt")
    of_pip = {CONDA_NAMES.get(name, name): version for name, version in pip.items()}
    for name, version in conda(file).items():
        if name not in ("python", "pip"):
            assert of_pip.get(normalised(name), of_pip.get(name)) == version, name


def test_together_the_conda_files_hold_all_that_the_project_declares(declared):
    jobs = {normalised(name) for name in conda("sat.yaml")}
    main = {normalised(name) for name in conda("snakemake.yaml")}
    for name in declared:
        conda_name = normalised(CONDA_NAMES.get(name, name))
        assert conda_name in (main if name.startswith(ONLY_MAIN) else jobs), name


def test_pip_pins_all_that_the_project_declares(declared):
    assert declared <= pins("requirements.txt").keys()


def test_no_file_names_an_index():
    for path in (ROOT / "envs").iterdir():
        assert not re.search(r"https?://|--index|--find-links|--extra-index", path.read_text()), path
