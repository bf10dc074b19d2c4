"""Weights from a hub that a small server plays, and from files."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from forks import apart
from hub import COMMIT, fetch_apart, serve
from nets import classifier, digits
from sat.errors import SatError
from sat.models.classifier import predict, save_classifier
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
    with pytest.raises(SatError, match="are no weights of"):
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
