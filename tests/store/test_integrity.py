"""Nothing wrong is read: flipped bits, edited sidecars, files that refer to other files."""

import json
import os
import re
import shlex
import stat
from pathlib import Path

import h5py
import numpy as np
import pytest

from sat.__main__ import main
from sat.errors import SatError
from sat.store import hdf5
from sat.store.artefact import SEAL, Job, read_sidecar, sidecar_path
from sat.store.files import replacing
from sat.store.parts import Parts
from sat.store.step import Step

MADE = Step("images", 1, {"a": 1})
CONSUMER = Step("clean", 1, {}, {"images": MADE.recipe})


def make(path, **arrays):
    with hdf5.writing(path) as file:
        for name, values in (arrays or {"prediction": np.arange(400, dtype=np.int16)}).items():
            file[name] = values
    Job(MADE).finish(path, accuracy=0.75, seconds=3)
    return path


def flip(path, name):
    """Flip the lowest bit of a number in an array, as rotten storage does: times and everything else stay."""
    before = path.stat()
    with h5py.File(path, "r+", locking=False) as file:
        values = file[name][:]
        values.flat[7] ^= 1
        file[name][...] = values
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def edit(path, **changes):
    sidecar = sidecar_path(path)
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | changes))


def test_flipped_bits_of_an_input_stop_the_job_before_anything_lasts(tmp_path):
    path = make(tmp_path / "a.h5")
    flip(path, "prediction")
    job = Job(CONSUMER)
    job.input("images", path)
    with pytest.raises(SatError, match=r"a\.h5: its content is not what its sidecar"):
        Parts(tmp_path / "b.h5", job)
    out, job = make(tmp_path / "b.h5"), Job(CONSUMER)
    sidecar_path(out).unlink()
    job.input("images", path)
    with pytest.raises(SatError, match=r"verify --full"):
        job.finish(out)
    assert not sidecar_path(out).exists()


def test_a_job_refuses_an_input_whose_sidecar_lost_its_digest_since_the_output_was_made(tmp_path):
    path, out = make(tmp_path / "a.h5"), tmp_path / "b.csv"

    def consume():
        job = Job(CONSUMER)
        job.input("images", path)
        out.write_text("b")
        job.finish(out)

    consume()
    first = sidecar_path(out).read_bytes()
    record = json.loads(sidecar_path(path).read_text())
    sidecar_path(path).write_text(json.dumps({k: v for k, v in record.items() if k not in (SEAL, "format")}))
    with pytest.raises(SatError, match=r"a\.h5\.json: the sidecar has lost the digest of itself"):
        consume()
    assert sidecar_path(out).read_bytes() == first
    # An artefact that is made for the first time may be made from a sidecar of an earlier version.
    out = tmp_path / "c.csv"
    consume()
    assert read_sidecar(out)["inputs"]["images"]["format"] == 1


def test_a_sidecar_says_what_was_read_and_which_facts_were_used(tmp_path):
    path, job = make(tmp_path / "a.h5"), Job(CONSUMER)
    job.input("images", path)
    assert job.facts(path, "accuracy") == {"accuracy": 0.75}
    job.finish(tmp_path / "gate.json")
    read = read_sidecar(tmp_path / "gate.json")["inputs"]["images"]
    with h5py.File(path) as file:
        assert read["content_sha256"] == hdf5.content_digest(file)
    assert read["facts"] == {"accuracy": 0.75} and read["format"] == 2


@pytest.mark.parametrize("change", [{"facts": {"accuracy": 0.123}}, {"recipe": "0" * 16}, {"note": 1}, {SEAL: None}])
def test_an_edited_sidecar_is_refused(tmp_path, change):
    path = make(tmp_path / "a.h5")
    edit(path)  # another layout of the same content is no edit
    assert read_sidecar(path)["facts"]["accuracy"] == 0.75
    edit(path, **change)
    with pytest.raises(SatError, match=r"a\.h5\.json: the sidecar has been edited"):
        read_sidecar(path)


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"recipe": 3}', '{"recipe": "a", "inputs": [], "facts": {}}', "{", "\0"]
)
def test_what_is_no_sidecar_is_named(tmp_path, content):
    path = make(tmp_path / "a.h5")
    sidecar_path(path).write_text(content)
    with pytest.raises(SatError, match=r"a\.h5\.json: is not a sidecar"):
        read_sidecar(path)


def external_link(file, secret):
    file["prediction"] = h5py.ExternalLink(secret, "prediction")


def soft_link(file, secret):
    file["prediction"] = h5py.SoftLink("/elsewhere")


def external_storage(file, secret):
    file.create_dataset("prediction", (4,), "u1", external=[(str(secret), 0, 4)])


def virtual(file, secret):
    layout = h5py.VirtualLayout((400,), "i2")
    layout[:] = h5py.VirtualSource(secret, "prediction", (400,))
    file.create_virtual_dataset("prediction", layout)


@pytest.mark.parametrize("kind", [external_link, soft_link, external_storage, virtual])
def test_a_file_that_refers_to_another_file_is_refused(tmp_path, kind):
    secret = make(tmp_path / "secret.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        kind(file, secret)
    with (
        pytest.raises(SatError, match=r"a\.h5: 'prediction' is not stored in this file, but refers to another one"),
        hdf5.reading(tmp_path / "a.h5"),
    ):
        pass


def test_a_damaged_chunk_is_named(tmp_path):
    with hdf5.writing(tmp_path / "a.h5") as file:
        hdf5.image_dataset(file, "image", (3, 3, 32, 32), np.uint8)[:] = 7
        offset = file["image"].id.get_chunk_info(1).byte_offset
    raw = bytearray((tmp_path / "a.h5").read_bytes())
    raw[offset + 3] ^= 255
    (tmp_path / "a.h5").write_bytes(raw)
    with pytest.raises(SatError, match=r"a\.h5: is damaged"), hdf5.reading(tmp_path / "a.h5") as file:
        file["image"][:]


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_files_have_the_permissions_of_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        with replacing(tmp_path / "a") as temporary:
            temporary.write_text("a")
            temporary.chmod(0o600)  # as safetensors does
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~mask
        assert os.umask(mask) == mask
    finally:
        os.umask(before)


def test_file_and_folder_are_flushed_in_this_order(tmp_path, monkeypatch):
    flushed, really = [], os.fsync

    def watched(descriptor):
        flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        really(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    with replacing(tmp_path / "a") as temporary:
        temporary.write_text("a")
    assert flushed == [str(temporary), str(tmp_path)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "damaged, array, consumer",
    [
        ("tiles/c1-000/c1-000.h5", "prediction", "similarity/sat.csv"),
        ("clean/vit.h5", "attack_prediction", "similarity/sat.csv"),
        ("images/attack.h5", "label", "clean/vit.h5"),
        ("adversarial/vit.h5", "attacked", "tiles/c1-000/c1-001.h5"),
    ],
)
def test_no_job_uses_a_damaged_input_and_verify_repairs_it(project, damaged, array, consumer):
    path = project.results / damaged
    flip(path, array)
    done = project.sat("rerun", f"results/tiny/{consumer}")
    assert done.returncode == 1 and f"{damaged}: its content is not what its sidecar" in done.stderr, done.stderr
    found = project.sat("verify", "--full").stdout
    assert f"results/tiny/{damaged}: its content" in found
    assert f"made from results/tiny/{damaged}" in found and f"--forcerun results/tiny/{damaged}" in found


@pytest.mark.slow
def test_verify_finds_what_was_made_from_other_bytes_or_facts(project):
    def verify(*words):
        done = project.sat("verify", *words)
        return done.returncode, done.stdout

    def resealed(path, change):
        """Write a sidecar as its producer would."""
        from sat.store.artefact import write_sidecar

        record = {key: value for key, value in read_sidecar(path).items() if key != SEAL}
        change(record)
        write_sidecar(sidecar_path(path), record)

    assert verify("--full") == (0, verify()[1])
    clean = project.results / "clean/vit.h5"
    before = sidecar_path(clean).read_bytes()
    edit(clean, facts={**read_sidecar(clean)["facts"], "accuracy": 0.123})
    code, said = verify()
    assert code == 1 and "clean/vit.h5.json: the sidecar has been edited" in said
    resealed_facts = {**json.loads(before)["facts"], "accuracy": 0.123}
    sidecar_path(clean).write_bytes(before)
    resealed(clean, lambda record: record.update(facts=resealed_facts))
    code, said = verify()
    assert (
        code == 1 and "another results/tiny/clean/vit.h5 than the one that is there now (other facts: accuracy)" in said
    )
    sidecar_path(clean).write_bytes(before)

    # The same arrays in another compression are no other result.
    adversarial = project.results / "adversarial/vit.h5"
    with hdf5.reading(adversarial) as file:
        arrays, attributes = {name: file[name][:] for name in file}, dict(file.attrs)
    with hdf5.writing(adversarial) as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, compression="gzip", compression_opts=9)
        file.attrs.update({name: value for name, value in attributes.items() if name != hdf5.DIGEST})
    from sat.store.artefact import content_account

    resealed(adversarial, lambda record: record.update(content_account(adversarial)))
    assert verify("--full")[0] == 0
    # A field that is deleted does not let anything pass: the consumer has recorded that it was there.
    record = read_sidecar(adversarial)
    sidecar_path(adversarial).write_text(json.dumps({k: v for k, v in record.items() if k not in (SEAL, "format")}))
    code, said = verify()
    assert code == 1 and "its sidecar has lost the digest of itself" in said


@pytest.mark.slow
def test_sidecars_of_earlier_versions_are_counted_and_adopted(project):
    sidecars = [path for path in project.results.rglob("*.json") if SEAL in path.read_text()]
    for path in sidecars:
        times, record = path.stat(), json.loads(path.read_text())
        del record["format"], record[SEAL]
        for given in record["inputs"].values():
            for entry in given if isinstance(given, list) else [given]:
                for key in ("format", "content_sha256", "facts"):
                    entry.pop(key, None)
        path.write_text(json.dumps(record))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert "were written by an earlier version" in project.sat("verify").stdout
    gate = project.results / "clean/vit.gate.json"
    (project.results / "tiles/.x.h5.host.1.tmp").touch()
    done = project.sat("verify", "--adopt")
    assert done.returncode == 0 and f"{len(sidecars)} sidecar(s)" in done.stdout, done.stdout
    assert "rm results/tiny/tiles/.x.h5.host.1.tmp" in done.stdout
    assert read_sidecar(gate)["inputs"]["clean"]["format"] == 2
    assert "earlier version" not in project.sat("verify", "--full").stdout
    assert project.planned() == {}


KINDS = [
    "images/attack.h5",
    "weights/byobnet.safetensors",
    "clean/vit.h5",
    "clean/vit.gate.json",
    "adversarial/byobnet.h5",
    "tiles/c1-000/c1-001.h5",
    "similarity/pairs.parquet",
    "similarity/sat.csv",
    "analysis/clusters.csv",
    "figures/clustermap.svg",
    "study.json",
    "similarity/affinity.csv.json",
]
"""An artefact of every kind, and a sidecar."""


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_off(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


DAMAGES = [flip_a_byte, cut_off, empty, Path.unlink]


def consumers(results):
    """By artefact, all that is made from it, by what sidecars record: an account that does not rest on the plan."""
    direct = {}
    for place in results.rglob("*.json"):
        try:
            inputs = json.loads(place.read_text())["inputs"].values()
        except (ValueError, KeyError, TypeError):
            continue
        artefact = place if place.suffixes[-2:-1] == [".gate"] or place.name == "study.json" else place.with_suffix("")
        for given in inputs:
            for entry in given if isinstance(given, list) else [given]:
                direct.setdefault(entry["path"], set()).add(f"{artefact.relative_to(results.parents[1])}")

    def below(path):
        return set().union(*({other} | below(other) for other in direct.get(path, ())))

    return {path: below(path) for path in direct}


@pytest.mark.slow
def test_verify_finds_damage_of_every_kind_of_artefact_and_its_command_repairs_it(project, monkeypatch, capsys):
    monkeypatch.chdir(project.folder)
    made = consumers(project.results)
    before = project.state("**/*")
    for kind in KINDS:
        path = project.results / kind
        content, times = path.read_bytes(), path.stat()
        artefact = f"results/tiny/{kind.removesuffix('.json') if kind.endswith('csv.json') else kind}"
        for damage in DAMAGES:
            damage(path)
            assert main(["verify", "--full"]) == 1, (kind, damage)
            said = capsys.readouterr().out
            found = dict(re.findall(r"^(?:missing|changed|downstream) +(results/\S+?): (.*)$", said, re.MULTILINE))
            assert found.keys() == {artefact} | made.get(artefact, set()), (kind, damage, said)
            path.write_bytes(content)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert main(["verify", "--full"]) == 0
    capsys.readouterr()

    for number, kind in enumerate(KINDS):
        DAMAGES[number % len(DAMAGES)](project.results / kind)
    assert main(["verify", "--full"]) == 1
    repair = re.search(r"To repair:\n  snakemake --cores all (.*)", capsys.readouterr().out)
    assert repair
    project.run(*shlex.split(repair[1]))
    assert main(["verify", "--full"]) == 0
    after = project.state("**/*")
    for path, (_, digest) in before.items():
        if path.endswith((".h5", ".csv", ".parquet", ".svg", ".safetensors")):
            assert after[path][1] == digest, path
