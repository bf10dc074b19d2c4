# Two targets for everybody: demo and test. Both work from a fresh clone with Python >= 3.11 and make.
PYTHON ?= python3
BIN := .venv/bin
# Small nets run one thread a job, jobs side by side.
export OMP_NUM_THREADS ?= 1

.DELETE_ON_ERROR:
.PHONY: demo test install lint bench clean slurm-demo resume lock supported base-image

demo: .venv/installed ## from images to report: the study of config.yaml
	$(BIN)/snakemake --cores all --logger rich
	@mkdir -p results/digits/report
	$(BIN)/snakemake --quiet all --report results/digits/report/report.html
	@$(BIN)/sat summary

test: .venv/installed-test lint ## the whole test suite
	$(BIN)/python -m pytest -n auto $(PYTEST)

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" snakefmt --check Snakefile workflow/rules

install: .venv/installed ## the environment alone, in .venv

# DEVICE=cuda measures a GPU, and what only a GPU can show.
DEVICE ?= cpu
bench: .venv/installed-test ## speed of this machine against bounds and other libraries, in ten minutes; writes benchmarks/
	$(BIN)/python benchmarks/run.py --device $(DEVICE) --write

slurm-demo: .venv/installed ## the tiny study of the tests on a SLURM of this machine's own; needs root, slurm-wlm and munge
	PYTHONPATH=tests $(BIN)/python tests/cluster.py

# After Snakemake itself was killed. PROFILE=slurm, CONFIGFILE=studies/mine.yaml, WAIT=1, MORE='words for snakemake'.
PROFILE ?= slurm
resume: .venv/installed ## cancel its SLURM jobs (WAIT=1: let them end), unlock, start again
	$(BIN)/sat resume --profile $(PROFILE) $(if $(CONFIGFILE),--study $(CONFIGFILE)) $(if $(WAIT),--wait) -- $(MORE)

supported: .venv/bin/python ## try the lowest and the highest supported versions: 10 GB, ENVIRONMENTS='lowest locked newest'
	$(LOCKED) -r envs/requirements-lock.txt
	PYTEST='$(PYTEST)' $(BIN)/python tests/supported.py $(ENVIRONMENTS)

base-image: ## write the digest of the container's base image to envs/sat.def; needs skopeo and its registry
	skopeo inspect --raw docker://$$(sed -n 's/^# Tag: //p' envs/sat.def) | $(PYTHON) envs/base_image.py envs/sat.def

# --universal: for every system and Python >= 3.11. Pins that still fit stay, unless UPGRADE='--upgrade' or
# UPGRADE='--upgrade-package torch --upgrade-package torchvision' lets them go.
COMPILE = UV_CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--fork-strategy fewest --generate-hashes --no-annotate $(UPGRADE)
PINNED = envs/requirements-build.txt envs/requirements.txt
lock: .venv/bin/python ## choose versions for what pyproject.toml asks, and write them with their hashes to envs/
	$(LOCKED) -r envs/requirements-lock.txt
	$(COMPILE) --group lock -o envs/requirements-lock.txt >/dev/null
	$(COMPILE) --group build -o envs/requirements-build.txt >/dev/null
	$(COMPILE) pyproject.toml --extra autoattack --extra torchattack -c envs/requirements-build.txt \
		-o envs/requirements.txt >/dev/null
	$(COMPILE) pyproject.toml --all-extras $(PINNED:%=-c %) \
		$$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' $(PINNED)) -o envs/requirements-test.txt >/dev/null
	$(COMPILE) --no-deps --group peers -o envs/requirements-peers.txt >/dev/null

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

# pip compares every file with the hashes of the lock. What has no wheel is built with the setuptools that the lock names.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation
LOCKED := $(INSTALL) --require-hashes

.venv/installed: envs/requirements-build.txt envs/requirements.txt pyproject.toml | .venv/bin/python
	$(LOCKED) -r envs/requirements-build.txt
	$(LOCKED) -r envs/requirements.txt
	$(INSTALL) --no-deps -e . # the command sat
	touch $@

.venv/installed-test: envs/requirements-test.txt envs/requirements-peers.txt .venv/installed
	$(LOCKED) -r envs/requirements-test.txt
	$(LOCKED) --no-deps -r envs/requirements-peers.txt
	touch $@

clean: ## results and what `make supported` made, but not the installation
	rm -rf results .snakemake .supported
