"""Weights from a hub that a small server plays, and from files."""

import json
import os
import re
import subprocess
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from forks import apart
from hub import COMMIT, fetch_apart, serve
from nets import classifier, digits, load_within
from sat.errors import SatError
from sat.models.classifier import load_classifier, predict, save_classifier
from sat.models.pretrained import load_checkpoint, load_pretrained

NAME = "test_resnet.r160_in1k"


@pytest.fixture
def hub():
    with serve() as (handler, url):
        yield handler, url


def fetch(cache, *arguments, **variables):
    """Call `fetch` in a process of its own: the hub's client reads its settings when it is imported."""
    environment = {"HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1", **variables}
    return subprocess.CompletedProcess(arguments, *apart(fetch_apart, arguments, environment, seconds=300))


def weights(folder: Path, architecture: str = NAME) -> Path:
    torch.manual_seed(1)
    path = folder / "model.safetensors"
    save_file(timm.create_model(architecture).state_dict(), path, metadata={"format": "pt"})
    return path


@pytest.mark.parametrize("failures", [[], ["cut"], ["503", "cut"]], ids=["at once", "cut off", "busy, then cut off"])
def test_fetch_survives_a_bad_line(hub, tmp_path, failures):
    handler, url = hub
    content = weights(tmp_path).read_bytes()
    handler.files[f"timm/{NAME}/model.safetensors"] = content
    handler.failures += failures
    done = fetch(tmp_path / "cache", NAME, HF_ENDPOINT=url)
    assert done.returncode == 0, done.stderr
    path, *rest = json.loads(done.stdout)
    assert rest == [f"timm/{NAME}", COMMIT, "model.safetensors"]
    assert Path(path).read_bytes() == content
    # Once there, it needs no hub.
    again = fetch(tmp_path / "cache", NAME, HF_HUB_OFFLINE="1")
    assert again.returncode == 0 and again.stdout == done.stdout


def test_fetch_pins_a_revision_and_falls_back_to_the_other_file(hub, tmp_path):
    handler, url = hub
    handler.files[f"timm/{NAME}/pytorch_model.bin"] = b"anything"
    done = fetch(tmp_path / "cache", NAME, "abc123", HF_ENDPOINT=url)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[3] == "pytorch_model.bin"
    assert all(line.split()[1] == "abc123" for line in handler.seen)


def test_fetch_gives_up_with_words(hub, tmp_path):
    handler, url = hub
    done = fetch(tmp_path / "cache", NAME, HF_ENDPOINT=url)
    assert "holds no model.safetensors nor pytorch_model.bin" in done.stderr
    handler.files[f"timm/{NAME}/model.safetensors"] = weights(tmp_path).read_bytes()
    handler.failures += ["cut"] * 100
    done = fetch(tmp_path / "other", NAME, None, 2, HF_ENDPOINT=url)
    assert "SatError" in done.stderr and "broke off 2 times" in done.stderr


@pytest.mark.parametrize("variables", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_offline_is_said_within_seconds(tmp_path, variables):
    done = fetch(tmp_path, NAME, "abc", **variables)
    assert f"hf download timm/{NAME} model.safetensors --revision abc" in done.stderr
    assert str(tmp_path) in done.stderr and "Traceback" not in done.stderr
    # The hub's own client tries for half a minute.
    assert float(re.search(r"took (\S+) s", done.stderr)[1]) < 25


def test_unknown_weights_are_no_download(tmp_path):
    done = fetch(tmp_path, "test_resnet.nonsense", HF_HUB_OFFLINE="1")
    assert "SatError" in done.stderr and "knows no weights of this name" in done.stderr


def test_pretrained_weights_are_those_of_timm(tmp_path):
    path = weights(tmp_path)
    model = load_pretrained(NAME, path).freeze()
    net = timm.create_model(NAME).eval()
    net.load_state_dict(load_file(path))
    images = torch.rand(2, 3, 160, 160)
    config = timm.data.resolve_model_data_config(net)
    mean, std = (torch.tensor(config[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        assert torch.allclose(model(images), net((images - mean) / std), atol=1e-5)
    assert model.blueprint.num_classes == 1000 and model.blueprint.input_size == 160


def test_another_size_resamples_position_embeddings(tmp_path):
    model = load_pretrained("test_vit.r160_in1k", weights(tmp_path, "test_vit.r160_in1k"), input_size=96).freeze()
    assert model.blueprint.options == {"img_size": 96}
    assert model(torch.rand(1, 3, 160, 160)).shape == (1, 1000)


@pytest.mark.parametrize("content", [b"no weights", None], ids=["damaged", "of another model"])
def test_pretrained_never_falls_back_to_random_weights(tmp_path, content):
    path = weights(tmp_path, "test_vit.r160_in1k")
    if content:
        path.write_bytes(content)
    with pytest.raises(SatError, match="are not weights of"):
        load_pretrained(NAME, path)


def test_checkpoint_brings_its_classes_and_a_study_s_own_its_blueprint(tmp_path):
    net = classifier("test_vit")
    save_classifier(net, tmp_path / "own.safetensors")
    torch.save(net.net.state_dict(), tmp_path / "plain.pth")
    images, _ = digits(16)
    expected = predict(net, images, 16)
    own = load_checkpoint("test_vit", tmp_path / "own.safetensors").freeze()
    assert own.blueprint.input_size == 32 and (predict(own, images, 16) == expected).all()
    plain = load_checkpoint("test_vit", tmp_path / "plain.pth", input_size=32).freeze()
    assert plain.blueprint.num_classes == 10 and (predict(plain, images, 16) == expected).all()
    # The native size has more position embeddings.
    with pytest.raises(SatError, match=r"pos_embed has the shape \(1, 5, 64\) instead of"):
        load_checkpoint("test_vit", tmp_path / "plain.pth")
    other = load_checkpoint("test_vit", tmp_path / "plain.pth", 32, (0.1, 0.1, 0.1), (0.2, 0.2, 0.2))
    assert other.blueprint.mean == (0.1, 0.1, 0.1) and other.blueprint.std == (0.2, 0.2, 0.2)


class Evil:
    def __reduce__(self):
        return (os.system, ("touch executed",))


def test_checkpoint_is_never_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(SatError, match="cannot be read as a state dict"):
        load_checkpoint("test_resnet", tmp_path / "evil.pth")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["damaged.pth", "damaged.safetensors"])
def test_damaged_checkpoint(tmp_path, name):
    (tmp_path / name).write_bytes(b"damaged")
    with pytest.raises(SatError, match="cannot be read as a state dict"):
        load_checkpoint("test_resnet", tmp_path / name)


# Hostile and broken checkpoints. They are read with 200 MB of memory, so that nothing happens to the machine.


def saved(path: Path, **changes: object) -> Path:
    """A checkpoint of test_resnet for ten classes, some of whose tensors are others."""
    torch.save({**classifier("test_resnet").net.state_dict(), **changes}, path)
    return path


HEAD = "fc.weight"
RUNNING = "layer1.0.bn1.running_var"


def test_a_tiny_file_that_claims_384_gb(tmp_path):
    path = saved(tmp_path / "hostile.pth", **{HEAD: torch.ones(1).expand(1_500_000_000, 64)})
    assert path.stat().st_size < 2 * 10**6
    said = apart(load_within, "test_resnet", str(path), 200)
    assert f"{path}: cannot be read as a state dict (fc.weight: a tensor claims the shape (1500000000, 64)" in said


def test_a_pickle_that_takes_384_gb(tmp_path):
    # The weights are whole, so the checkpoint is used.
    path = tmp_path / "hostile.pth"
    torch.save({"state_dict": classifier("test_resnet").net.state_dict(), "bomb": Bomb()}, path)
    assert apart(load_within, "test_resnet", str(path), 200) == "loaded"


class Bomb:
    def __reduce__(self):
        return (bytearray, (384 * 10**9,))


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_of_a_large_checkpoint_only_the_weights_are_read(tmp_path, key):
    state = classifier("test_resnet").net.state_dict()
    averaged = {name: torch.zeros(2**20) for name in list(state)[:60]}
    path = tmp_path / "large.pth"
    torch.save({"state_dict_ema": averaged, key: {f"module.{name}": value for name, value in state.items()}}, path)
    assert path.stat().st_size > 150 * 2**20
    assert apart(load_within, "test_resnet", str(path), 100) == "loaded"
    assert all(
        (value == state[name]).all() for name, value in load_checkpoint("test_resnet", path).net.state_dict().items()
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (RUNNING, -5e-6, r"holds -5e-06 \(1 of \d+ values\); a variance is never negative"),
        (RUNNING, float("nan"), r"holds nan \(1 of"),
        ("layer1.0.bn1.running_mean", float("inf"), r"holds inf \(1 of"),
        (HEAD, float("nan"), r"holds nan \(1 of"),
        (HEAD, float("-inf"), r"holds -inf \(1 of \d+ values\); weights are finite numbers"),
    ],
)
@pytest.mark.parametrize("kind", ["pth", "safetensors", "hub"])
def test_impossible_values_are_refused(tmp_path, kind, name, value, said):
    architecture = NAME if kind == "hub" else "test_resnet"
    state = dict(timm.create_model(architecture).state_dict())
    state[name].view(-1)[3] = value
    path = tmp_path / f"own.{'pth' if kind == 'pth' else 'safetensors'}"
    torch.save(state, path) if kind == "pth" else save_file(state, path)
    load = load_pretrained if kind == "hub" else load_checkpoint
    with pytest.raises(SatError, match=f"{name} {said}"):
        load(architecture, path)


def write_header(path: Path, changes: dict[str, object]) -> None:
    """Change entries of the header of a .safetensors file."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    text = json.dumps({**json.loads(content[8 : 8 + size]), **changes}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("std", [0, 0, 0]),
        ("std", [0.2, 0.2]),
        ("std", [0.2, 0.2, float("nan")]),
        ("mean", [124, 117, 104]),
        ("mean", "abc"),
        ("input_size", 1_000_000),
        ("input_size", 0),
        ("num_classes", 10**9),
        ("options", {"pretrained": True}),
        ("options", {"img_size": 10**6}),
        ("architecture", "local-dir:/somewhere"),
    ],
)
def test_the_blueprint_in_somebody_s_file_is_not_believed(tmp_path, key, value):
    net = classifier("test_resnet")
    path = tmp_path / "own.safetensors"
    save_classifier(net, path)
    assert load_checkpoint("test_resnet", path).blueprint == net.blueprint
    write_header(path, {"__metadata__": {"blueprint": json.dumps({**asdict(net.blueprint), key: value})}})
    for load in (partial(load_checkpoint, "test_resnet"), load_classifier):
        with pytest.raises(SatError, match=rf"cannot be read.*({key}|place|not supported)"):
            load(path)


def test_a_safetensors_header_that_claims_too_much(tmp_path):
    path = tmp_path / "own.safetensors"
    save_classifier(classifier("test_resnet"), path)
    write_header(path, {HEAD: {"dtype": "F32", "shape": [1_500_000_000, 64], "data_offsets": [0, 384 * 10**9]}})
    said = apart(load_within, "test_resnet", str(path), 200)
    assert "cannot be read as a state dict" in said


def plain_state():
    return {name: value.contiguous() for name, value in classifier("test_resnet").net.state_dict().items()}


def same(net, state):
    return all((value == state[name]).all() for name, value in net.state_dict().items() if name in state)


@pytest.mark.parametrize("name", ["net.th", "net.ckpt", "net.pth.tar", "net.t7"])
def test_a_checkpoint_may_have_any_usual_suffix(tmp_path, write_study, name):
    from sat.study.study import load_study

    torch.save(plain_state(), tmp_path / name)
    row = {"model": "a", "architecture": "test_resnet", "weights": name, "family": "x"}
    study = load_study([write_study([row, {**row, "model": "b"}])])
    assert same(load_checkpoint("test_resnet", study.files["a"]).net, plain_state())


def test_counts_of_batches_may_be_missing(tmp_path):
    state = {name: value for name, value in plain_state().items() if not name.endswith("num_batches_tracked")}
    assert len(state) < len(plain_state())
    torch.save(state, tmp_path / "old.pth")
    assert same(load_checkpoint("test_resnet", tmp_path / "old.pth").net, state)
    del state["fc.bias"]
    torch.save(state, tmp_path / "old.pth")
    with pytest.raises(SatError, match=r"1 missing keys \(fc\.bias\)"):
        load_checkpoint("test_resnet", tmp_path / "old.pth")


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_lightning_s_prefix_is_taken_off_with_a_line(tmp_path, caplog, kind):
    state = {f"model.{name}": value for name, value in plain_state().items()}
    path = tmp_path / f"lightning.{kind}"
    if kind == "pth":
        torch.save({"state_dict": state, "epoch": 3, "callbacks": {"x": np.float64(1)}}, path)
    else:
        save_file(state, path)
    with caplog.at_level("INFO", "sat"):
        assert same(load_checkpoint("test_resnet", path).net, plain_state())
    assert "the prefix 'model.' of all keys is taken off" in caplog.text


def test_averaged_weights_are_told_and_can_be_chosen(tmp_path, caplog, write_study):
    from sat.study.plan import Plan
    from sat.study.study import load_study

    plain = plain_state()
    averaged = {name: value * 2 if value.is_floating_point() else value for name, value in plain.items()}
    path = tmp_path / "both.pth"
    torch.save({"state_dict": plain, "state_dict_ema": averaged}, path)
    with caplog.at_level("INFO", "sat"):
        assert same(load_checkpoint("test_resnet", path).net, plain)
    assert "the plain ones are taken (the others: with #ema" in caplog.text
    assert same(load_checkpoint("test_resnet", path, ema=True).net, averaged)
    row = {"model": "a", "architecture": "test_resnet", "weights": "both.pth", "family": "x"}
    study = load_study([write_study([row, {**row, "model": "b", "weights": "both.pth#ema"}])])
    assert study.files["a"] == study.files["b"]
    assert Plan(study).weights("b").step.params["ema"] is True and "ema" not in Plan(study).weights("a").step.params
    torch.save(plain, path)
    with pytest.raises(SatError, match="holds no averaged weights"):
        load_checkpoint("test_resnet", path, ema=True)


@pytest.mark.parametrize("key", ["model_state_dict", "net"])
def test_a_state_dict_may_lie_under_the_usual_keys(tmp_path, key):
    torch.save({key: plain_state(), "epoch": 3, "model": "resnet"}, tmp_path / "a.pth")
    assert same(load_checkpoint("test_resnet", tmp_path / "a.pth").net, plain_state())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.ones(1)], "it holds one list"),
        (torch.ones(3), "it holds one tensor"),
        (3, "it holds one int"),
        (torch.nn.Linear(2, 2), "it holds a whole module"),
        ({"model": torch.nn.Linear(2, 2), "epoch": 1}, "it holds a whole module"),
        ({"generator": {"a": torch.ones(1)}, "epoch": 1}, "state_dict, model_state_dict, model, net, and it has gen"),
        ({"a": torch.ones(1), "epoch": 1}, "other things than tensors, under 'epoch'"),
    ],
)
def test_what_is_no_state_dict_is_named(tmp_path, content, words):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(SatError, match=f"cannot be read as a state dict .*{words}.*save one with torch.save"):
        load_checkpoint("test_resnet", tmp_path / "a.pth")


def test_files_that_torch_save_has_not_written_are_named(tmp_path):
    import pickle
    import zipfile

    path = tmp_path / "a.pth"
    torch.jit.script(torch.nn.Linear(2, 2)).save(path)
    with pytest.raises(SatError, match="it is a TorchScript program"):
        load_checkpoint("test_resnet", path)
    path.write_bytes(b"")
    with pytest.raises(SatError, match="it is empty"):
        load_checkpoint("test_resnet", path)
    path.write_bytes(pickle.dumps({"a": np.ones(3)}))
    with pytest.raises(SatError, match=r"torch\.save has not written it"):
        load_checkpoint("test_resnet", path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/b.txt", "x")
    with pytest.raises(SatError, match=r"a zip file that torch\.save has not written"):
        load_checkpoint("test_resnet", path)
