"""Try the lowest and the highest supported versions of the dependencies, one after the other: `make supported`.

`lowest` installs the lower bound of every package that pyproject.toml names, `locked` the versions of envs/, which are
the highest that are supported. `newest`, tried only when it is named, installs what `pip install -e .` would. Every
environment takes some 5 GB under .supported/, and `make clean` removes it. PYTEST holds more words for pytest.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = ROOT / ".supported"
UV = Path(sys.executable).with_name("uv")
EXTRAS = ("--extra", "autoattack", "--extra", "torchattack", "--extra", "readers")
TOOLS = ("pytest", "pytest-xdist", "foolbox")
TESTS = (
    "tests/attacks",
    "tests/models",
    "tests/images",
    "tests/measures",
    "tests/store/test_checkpoint.py",
    "tests/cli/test_train.py",
    "tests/workflow/test_workflow.py::test_settings_on_the_command_line",
    "tests/workflow/test_workflow.py::test_a_study_stands_alone",
    "tests/workflow/test_workflow.py::test_sidecars_name_the_inputs_that_the_plan_and_the_rules_name",
)
"""What depends on torch, torchvision or timm, and tests of the finished tiny study."""


def call(*words: str | Path, **options: object) -> None:
    """Run a command at the root of the project, and stop where it fails."""
    subprocess.run(words, cwd=ROOT, check=True, **options)


def requirements(name: str) -> tuple[str | Path, ...]:
    """Choose the versions of an environment; return them as words for `uv pip install`."""
    if name == "locked":
        locks = [f"envs/requirements{part}.txt" for part in ("-build", "", "-test")]
        return ("--require-hashes", *(word for lock in locks for word in ("-r", lock)))
    chosen = ENVIRONMENTS / f"{name}.txt"
    resolution = "lowest-direct" if name == "lowest" else "highest"
    words = ("--quiet", "--upgrade", "--resolution", resolution, "--python", sys.executable, "--output-file", chosen)
    call(UV, "pip", "compile", "pyproject.toml", *EXTRAS, *words, stdout=subprocess.DEVNULL)
    return ("-r", chosen)


def make(name: str) -> Path:
    """Make an environment, with the tools of the tests on top; return its Python."""
    folder = ENVIRONMENTS / name
    call(UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder)
    install = (UV, "pip", "install", "--quiet", "--python", folder)
    call(*install, *requirements(name))
    call(*install, *TOOLS)
    call(*install, "--no-deps", "--require-hashes", "-r", "envs/requirements-peers.txt")
    return folder / "bin/python"


def versions(python: Path) -> dict[str, str]:
    """Return the versions in an environment of what the project names itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.match(r"[\w.-]+", line)[0] for line in project["dependencies"]]
    program = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    done = subprocess.run([python, "-c", program, *names], capture_output=True, text=True, check=True)
    return dict(zip(names, done.stdout.split(), strict=True))


def attempt(name: str) -> bool:
    """Make an environment, run the tests in it, and say with which versions they passed or failed."""
    python = make(name)
    start = time.monotonic()
    environment = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "workflow")}
    words = [
        "-m",
        "pytest",
        "-q",
        "-n",
        "auto",
        "-p",
        "no:cacheprovider",
        *TESTS,
        *shlex.split(os.environ.get("PYTEST", "")),
    ]
    passed = subprocess.run([python, *words], cwd=ROOT, env=environment).returncode == 0
    found = ", ".join(f"{package} {version}" for package, version in versions(python).items())
    minutes = (time.monotonic() - start) / 60
    print(f"{name}: {'passed' if passed else 'FAILED'} in {minutes:.0f} min with {found}", flush=True)
    return passed


if __name__ == "__main__":
    ENVIRONMENTS.mkdir(exist_ok=True)
    outcomes = [attempt(name) for name in sys.argv[1:] or ("lowest", "locked")]
    sys.exit(not all(outcomes))
