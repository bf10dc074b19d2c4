"""Variants, proved by Snakemake itself: each runs alone, and its numbers are those of a study of its own."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pandas as pd
import pytest

from projects import Project
from sat.store import hdf5

pytestmark = pytest.mark.slow

WEAK = {"attack": {"eps": "12/255", "step": "4/255"}}
L2 = {"attack": {"method": "pgd_l2", "eps": 8.0, "step": 3.0}, "attack_images": 32}
FEW = {"attack_images": 16}
BOTH = {"study", "ablation", "atlas", "crate"}


def test_variants_run_alone_and_agree_with_studies_of_their_own(project: Project) -> None:
    before = project.state("*/**/*.h5")
    matrix = (project.results / "similarity/sat.csv").read_bytes()

    # Fewer images: what is there already, counted on a prefix.
    project.configure(variants={"few": FEW})
    planned = project.planned()
    assert set(planned) - {"all"} == {"similarity", *BOTH}
    assert planned["similarity"] == ["variants/few/similarity/pairs.parquet"]

    project.configure(variants={"few": FEW, "l2": L2})
    project.run()
    assert project.planned() == {}
    assert before.items() <= project.state("*/**/*.h5").items(), "the study's own files stay as they are"
    assert (project.results / "similarity/sat.csv").read_bytes() == matrix
    with hdf5.reading(project.results / "variants/l2/adversarial/vit.h5") as file:
        change, attacked = file["perturbation"][:], file["attacked"][:]
    assert change.dtype == np.int16 and attacked[:32].any() and not attacked[32:].any()
    assert (np.square(change.astype(int)).sum((1, 2, 3)) <= (8 * 255) ** 2).all()
    table = pd.read_csv(project.results / "analysis/ablation.csv").query("of == 'sat'").set_index("variant")
    assert table["n_images"].to_dict() == {"(study)": 48, "few": 16, "l2": 32}

    # Another one runs its own jobs alone; so does a change of one.
    project.configure(variants={"few": FEW, "l2": L2, "weak": WEAK})
    planned = project.planned()
    own = {name for rule in ("attack", "evaluate", "similarity") for name in planned[rule]}
    assert set(planned) - {"all"} == {"attack", "evaluate", "similarity", *BOTH}
    assert len(own) == 3 + 4 + 1 and all(name.startswith("variants/weak/") for name in own)
    line = re.search(r"^attack +(\d+) ", project.sat("plan").stdout, re.MULTILINE)
    assert line and line[1] == "9", "three of the study, three of each of two variants"
    project.run()
    project.configure(variants={"few": FEW, "l2": {**L2, "attack_images": 24}, "weak": WEAK})
    own = {name for rule in ("attack", "evaluate", "similarity") for name in project.planned()[rule]}
    assert all(name.startswith("variants/l2/") for name in own)
    project.configure(variants={"few": FEW, "l2": L2, "weak": WEAK})

    verified = project.sat("verify")
    assert verified.returncode == 0, verified.stdout
    status = project.sat("status").stdout
    assert "Nothing is left to do." in status, status
    # They travel as the rest does.
    archive = project.folder.with_name("tiny.zip")
    project.sat("export", "--with", "all", "-o", str(archive))
    lab = Project.new(project.folder.with_name("lab"))
    assert "Not in the archive" not in lab.sat("import", str(archive)).stdout
    imported = lab.state("variants/*/*/**/*")
    assert {name: digest for name, (_, digest) in imported.items()} == {
        name: digest for name, (_, digest) in project.state("variants/*/*/**/*").items()
    }
    assert lab.planned("--configfile", "studies/tiny/study.yaml") == {}
    (project.results / "variants/weak/tiles/c1-000/c1-001.h5").unlink()
    assert "variants/weak/tiles/c1-000/c1-001.h5" in project.sat("verify").stdout

    # The same as studies, with the weak attack and with fewer images.
    for name, changes in (("weak", {"attack": {"eps": "12/255", "step": "4/255", "steps": 3}}), ("few", {})):
        whole = {**project.config, "variants": {}, **changes}
        if name == "few":
            whole["images"] = {**whole["images"], "attack_images": 16}
        twin = project.copy(project.folder.with_name(name))
        shutil.rmtree(twin.results / "variants")
        twin.configure(**whole)
        twin.run("results/tiny/similarity/sat.csv")
        for file in ("sat.csv", "pairs.parquet", "models.csv"):
            ours = project.results / f"variants/{name}/similarity/{file}"
            theirs = twin.results / f"similarity/{file}"
            assert ours.read_bytes() == theirs.read_bytes(), (name, file)
