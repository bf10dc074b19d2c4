"""The command that `sat verify` prints, in folders outside of the clone."""

from __future__ import annotations

import shlex

from conftest import ROOT, ROWS

NETS = "def mine(num_classes): ..."


def test_the_command_that_repairs_names_the_snakefile_and_the_consent_that_it_needs(sat, write_study, tmp_path):
    study = write_study()
    (tmp_path / "results/tiny/logs").mkdir(parents=True)
    said = sat(tmp_path, "verify", "study.yaml")
    assert said.returncode == 1
    plain = shlex.split(said.stdout.splitlines()[-1])
    assert plain == ["snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "all", "--configfile", "study.yaml"]

    # A net of the user's own also needs consent; a folder with a Snakefile of its own is a clone.
    (tmp_path / "my_nets.py").write_text(NETS)
    own = {**ROWS[0], "model": "own", "architecture": "my_nets:mine", "input_size": "32", "mean": "0.5", "std": "0.5"}
    write_study([{**dict.fromkeys(own, ""), **row} for row in (*ROWS, own)], code="my_nets.py")
    (tmp_path / "Snakefile").touch()
    words = shlex.split(sat(tmp_path, "verify", study.name).stdout.splitlines()[-1])
    assert words == ["snakemake", "--cores", "all", "--configfile", "study.yaml", "--config", "trust_code=true"]
