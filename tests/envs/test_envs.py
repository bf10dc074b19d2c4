"""The environments say the same: the lock, conda's files, the image, and what the project declares."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from hashlib import sha256

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from conftest import ROOT

CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base", "snakemake": "snakemake-minimal"}
ONLY_MAIN = ("snakemake",)
"""Start of the names of what jobs do not need."""
LOCKS = sorted(path.name for path in (ROOT / "envs").glob("requirements*.txt"))
INSTALLED = [file for file in LOCKS if file != "requirements-lock.txt"]
"""What `make test` installs; the tool that writes locks is for `make lock` alone."""


def entries(file):
    """Requirements of a lock, each with its hashes."""
    text = re.sub(r"^#.*\n", "", (ROOT / "envs" / file).read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found = []
    for line in text.splitlines():
        requirement, *hashes = re.split(r"\s+--hash=", line.strip())
        found.append((Requirement(requirement), hashes))
    return found


def pins(*files):
    """Exact versions of locks."""
    found = {}
    for file in files:
        for requirement, _ in entries(file):
            (specifier,) = requirement.specifier
            assert specifier.operator == "==" and "*" not in specifier.version, f"{file}: {requirement}"
            known = found.setdefault(canonicalize_name(requirement.name), specifier.version)
            assert known == specifier.version, f"{requirement.name} has two versions"
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
def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def declared(pyproject):
    return {canonicalize_name(Requirement(line).name) for line in pyproject["project"]["dependencies"]}


@pytest.mark.parametrize("file", ["sat.yaml", "snakemake.yaml"])
def test_conda_has_the_versions_of_pip(file):
    pip = pins("requirements.txt")
    of_pip = {CONDA_NAMES.get(name, name): version for name, version in pip.items()}
    for name, version in conda(file).items():
        if name not in ("python", "pip"):
            assert of_pip.get(canonicalize_name(name), of_pip.get(name)) == version, name


def test_together_the_conda_files_hold_all_that_the_project_declares(declared):
    jobs = {canonicalize_name(name) for name in conda("sat.yaml")}
    main = {canonicalize_name(name) for name in conda("snakemake.yaml")}
    for name in declared:
        conda_name = canonicalize_name(CONDA_NAMES.get(name, name))
        assert conda_name in (main if name.startswith(ONLY_MAIN) else jobs), name


def test_the_lock_pins_all_that_the_project_names_within_its_bounds(pyproject):
    """What to do after a change of pyproject.toml: `make lock`."""
    project, groups = pyproject["project"], pyproject["dependency-groups"]
    extras = project["optional-dependencies"]
    run = pins("requirements-build.txt", "requirements.txt")
    files = {
        "dependencies": (project["dependencies"], run),
        **{name: (extras[name], run) for name in ("autoattack", "torchattack")},
        **{name: (extras[name], run | pins("requirements-test.txt")) for name in ("dev", "readers")},
        **{name: (lines, pins(f"requirements-{name}.txt")) for name, lines in groups.items()},
        "build": (pyproject["build-system"]["requires"], pins("requirements-build.txt")),
    }
    assert files.keys() == {"dependencies", *extras, *groups}
    for name, (lines, pinned) in files.items():
        for requirement in map(Requirement, lines):
            version = pinned.get(canonicalize_name(requirement.name))
            assert version, f"{name}: {requirement} is not pinned"
            assert requirement.specifier.contains(version), f"{name}: {requirement}, but {version} is pinned"


def test_the_locks_agree():
    assert pins(*LOCKS)
    tests = {requirement.name for requirement, _ in entries("requirements-test.txt")}
    # It is installed on top; what stood in both could be updated in one of them.
    assert not tests & pins("requirements-build.txt", "requirements.txt").keys()


@pytest.mark.parametrize("file", LOCKS)
def test_every_requirement_has_hashes_and_nothing_else_stands_in_the_lock(file):
    assert entries(file)
    for requirement, hashes in entries(file):
        assert not requirement.url, requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), requirement
        assert len(set(hashes)) == len(hashes), requirement


def test_the_lock_is_for_more_systems_than_this(pyproject):
    """A binary package has a file, and so a hash, for each system and Python; a marker limits what only Linux needs."""
    found = {requirement.name: (requirement, hashes) for requirement, hashes in entries("requirements.txt")}
    assert len(found["numpy"][1]) > 10
    cuda = found["nvidia-cudnn-cu13"][0].marker
    assert cuda.evaluate({"sys_platform": "linux", "platform_machine": "x86_64"})
    assert not cuda.evaluate({"sys_platform": "darwin", "platform_machine": "arm64"})
    assert found["torch"][0].marker is None


def test_no_file_names_an_index_or_a_path():
    for path in (ROOT / "envs").glob("*.*"):
        assert not re.search(r"https?:|file:|--index|--find-links|--extra-index", path.read_text()), path
    for file in LOCKS:
        # Neither an address nor a path can be written without one of them.
        assert not re.search(r"[/@]", (ROOT / "envs" / file).read_text()), file


# --- what make and people call


def wheel(folder, name="probe"):
    """Write a package of nothing."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def clone(tmp_path):
    """A clone whose locks name one package of this machine; its Python is the tests' own, and pip only pretends."""
    (tmp_path / "envs").mkdir()
    for name in ("Makefile", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    digest = sha256(wheel(tmp_path).read_bytes()).hexdigest()
    for file in LOCKS:
        (tmp_path / "envs" / file).write_text(f"probe==1.0 --hash=sha256:{digest}\n")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    python = tmp_path / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\ncase "$*" in *" -e ."*) exit 0;; esac\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return tmp_path


def installed(clone):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "MAKE", "MFLAGS"))}
    environment |= {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(clone),
        "PIP_DRY_RUN": "1",
        "PIP_CONFIG_FILE": os.devnull,
    }
    return subprocess.run(
        ["make", ".venv/installed-test"], cwd=clone, env=environment, capture_output=True, text=True, timeout=600
    )


def test_make_installs_what_the_lock_describes(clone):
    done = installed(clone)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        *((file, f"probe==1.0 --hash=sha256:{'0' * 64}", "DO NOT MATCH THE HASHES") for file in INSTALLED),
        ("requirements-build.txt", "probe==1.0", "Hashes are required"),
    ],
)
def test_make_refuses_what_differs_from_the_lock_and_a_lock_without_hashes(clone, file, line, message):
    if file in ("requirements-test.txt", "requirements-peers.txt"):
        (clone / ".venv/installed").touch()
    (clone / "envs" / file).write_text(f"{line}\n")
    done = installed(clone)
    assert done.returncode
    assert message in done.stderr


def test_the_image_compares_files_with_the_hashes_too():
    commands = re.findall(r"pip install (.*)", (ROOT / "envs/sat.def").read_text())
    assert [re.findall(r"\S+\.txt", command) for command in commands] == [
        ["/opt/requirements-build.txt"],
        ["/opt/requirements.txt"],
    ]
    assert all("--require-hashes" in command for command in commands)


# --- the digest of the base image


def base_image(folder, answer):
    definition = folder / "sat.def"
    definition.write_text((ROOT / "envs/sat.def").read_text())
    command = [sys.executable, ROOT / "envs/base_image.py", definition]
    return subprocess.run(command, input=answer, capture_output=True), definition.read_text()


def test_the_digest_of_the_base_image_replaces_its_tag(tmp_path):
    # Made up, with spaces that any parser would lose: the digest is of the bytes.
    answer = b'{ "schemaVersion": 2,\n  "manifests": [ {"digest": "sha256:00"} ] }\n'
    done, text = base_image(tmp_path, answer)
    assert done.returncode == 0, done.stderr
    digest = subprocess.run(["sha256sum"], input=answer, capture_output=True, check=True).stdout.decode().split()[0]
    before = (ROOT / "envs/sat.def").read_text()
    assert text == re.sub(r"(?m)^From: .*$", f"From: python@sha256:{digest}", before)
    # A second answer replaces the first.
    (tmp_path / "sat.def").write_text(text)
    command = [sys.executable, ROOT / "envs/base_image.py", tmp_path / "sat.def"]
    subprocess.run(command, input=answer + b" ", check=True)
    assert (tmp_path / "sat.def").read_text().count("From: python@sha256:") == 1
    assert digest not in (tmp_path / "sat.def").read_text()


@pytest.mark.parametrize("answer", [b"", b"unauthorized", b"[]", b'{"errors": [{"code": "TOOMANYREQUESTS"}]}'])
def test_what_is_no_manifest_leaves_the_image_as_it_is(tmp_path, answer):
    done, text = base_image(tmp_path, answer)
    assert done.returncode == 1
    assert b"nothing was changed" in done.stderr and b"Traceback" not in done.stderr
    assert text == (ROOT / "envs/sat.def").read_text()
