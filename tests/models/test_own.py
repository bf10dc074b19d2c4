"""Nets of code files, built only by consent from the copy that the study keeps."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from sat.errors import SatError
from sat.models.classifier import build, features, load_classifier, plan_blueprint, predict, save_classifier
from sat.models.own import Own, check_rebuilt
from sat.study import code
from sat.study.training import Training

NETS = """
import torch
from torch import nn
from parts import Flat

class Net(nn.Module):
    def __init__(self, classes, width):
        super().__init__()
        self.body, self.head = nn.Sequential(Flat(), nn.Linear(3 * 64, width), nn.ReLU()), nn.Linear(width, classes)
    def forward(self, x):
        import late
        return late.same(self.head(self.body(x)))

class Tied(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.a = nn.Linear(192, 192)
        self.b = nn.Linear(192, 192)
        self.b.weight = self.a.weight
        self.head = nn.Linear(192, classes)
    def forward(self, x):
        return self.head(self.b(self.a(x.flatten(1))))

def plain(num_classes, width=8): return Net(num_classes, width)
def says(num_classes):
    net = Net(num_classes, 4)
    net.pretrained_cfg = {"input_size": (3, 8, 8), "mean": (0.1, 0.2, 0.3), "std": (1.0, 1.0, 1.0)}
    return net
def tied(num_classes): return Tied(num_classes)
def other(num_classes, pretrained):
    net = Net(num_classes, 8)
    if not pretrained:
        net.body[2] = nn.LeakyReLU(0.2)
    return net
def narrow(num_classes, pretrained): return Net(num_classes, 8 if pretrained else 4)
def good(num_classes, pretrained): return Net(num_classes, 8)
def no_module(num_classes): return 3
def fails(num_classes): raise KeyError("depth")
def wide(num_classes): return Net(2 * num_classes, 4)

class Returns(Net):
    def __init__(self, classes, how, training=False):
        super().__init__(classes, 4)
        self.how, self.only = how, training
    def forward(self, x):
        found = super().forward(x)
        return self.how(found) if self.training or not self.only else found

def pair(num_classes): return Returns(num_classes, lambda found: (found, found))
def named(num_classes): return Returns(num_classes, lambda found: {"scores": found})
def hugging(num_classes):
    from transformers import ResNetConfig, ResNetForImageClassification
    sizes = dict(embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], num_labels=num_classes)
    return ResNetForImageClassification(ResNetConfig(**sizes))
class Wrapped(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net
    def forward(self, x):
        return self.net(x).logits
def wrapped(num_classes): return Wrapped(hugging(num_classes))
def number(num_classes): return Returns(num_classes, lambda found: 3.0)
def quits(num_classes):
    import sys
    sys.exit("no weights here")
def twice(num_classes): return Returns(num_classes, lambda found: (found, found), training=True)
constant = 5
gone = 1
del gone
class Bare: ...
class Direct(Net):
    def __init__(self, num_classes): super().__init__(num_classes, 4)
def deep(num_classes): return nn.Linear(3, "x")
def cfg(num_classes, **said):
    net = Net(num_classes, 4)
    net.default_cfg = said or None
    return net
def timms(num_classes):
    from timm.models import PretrainedCfg
    net = Net(num_classes, 4)
    net.pretrained_cfg = PretrainedCfg(input_size=(3, 8, 8), mean=(0.1, 0.2, 0.3))
    return net
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The folder of a study's results with the copy of a code file, and its digest."""
    (tmp_path / "my_nets.py").write_text(NETS)
    (tmp_path / "parts.py").write_text("from torch import nn\nclass Flat(nn.Flatten): ...\n")
    (tmp_path / "late.py").write_text("def same(x): return x\n")
    found = code.read_code([tmp_path / "my_nets.py"])["my_nets"]
    results = tmp_path / "results/x"
    code.keep_code([found], results)
    (results / "weights").mkdir()
    monkeypatch.setenv("SAT_CODE", str(results / "code"))
    monkeypatch.setenv(code.CONSENT, "1")
    monkeypatch.syspath_prepend(str(tmp_path / "nowhere"))
    yield results, found.digest
    import sys

    sys.dont_write_bytecode = False
    for name in ("my_nets", "parts", "late"):
        sys.modules.pop(name, None)


def blueprint(digest, name="plain", classes=10, size=8, mean=(0.5,) * 3, std=(0.5,) * 3, **own):
    return plan_blueprint(f"my_nets:{name}", classes, size, mean, std, Own(digest, **own))


def test_a_net_is_what_its_function_makes(study):
    _, digest = study
    made = build(blueprint(digest, options={"width": 12})).freeze()
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), np.uint8)
    found = predict(made, images, 16)
    state = made.net.state_dict()
    with torch.no_grad():
        unit = (torch.from_numpy(images).float() / 255 - 0.5) / 0.5
        hidden = torch.relu(unit.flatten(1) @ state["body.1.weight"].T + state["body.1.bias"])
        expected = hidden @ state["head.weight"].T + state["head.bias"]
    assert hidden.shape[1] == 12
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["plain", "tied"])
def test_weights_are_written_and_read(study, monkeypatch, name):
    results, digest = study
    made = build(blueprint(digest, name)).freeze()
    path = results / "weights/a.safetensors"
    save_classifier(made, path)
    # Whoever has the results folder alone finds the code there.
    monkeypatch.delenv("SAT_CODE")
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), np.uint8)
    assert (predict(load_classifier(path), images, 16) == predict(made, images, 16)).all()
    monkeypatch.delenv(code.CONSENT)
    with pytest.raises(SatError, match=r"code that came with the study.*trust_code=true"):
        load_classifier(path)


def test_the_metadata_of_a_net_of_timm_is_as_before(tmp_path):
    save_classifier(build(plan_blueprint("test_vit", 10, 32)), tmp_path / "a.safetensors")
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        said = json.loads(file.metadata()["blueprint"])
    assert set(said) == {"architecture", "num_classes", "input_size", "mean", "std", "options"}


def test_a_net_may_say_its_size_and_normalisation_and_the_table_wins(study):
    _, digest = study
    found = plan_blueprint("my_nets:says", 10, own=Own(digest))
    assert (found.input_size, found.mean, found.std) == (8, (0.1, 0.2, 0.3), (1.0,) * 3)
    assert plan_blueprint("my_nets:says", 10, mean=(0.0,) * 3, own=Own(digest)).mean == (0.0,) * 3
    with pytest.raises(SatError, match="does not say its input_size and std, so the columns"):
        plan_blueprint("my_nets:plain", 10, mean=(0.0,) * 3, own=Own(digest))


def test_features_are_the_input_of_the_layer_that_the_table_names(study):
    _, digest = study
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), np.uint8)
    made = build(blueprint(digest, features="head")).freeze()
    found = features(made, images, 16)
    head = made.net.state_dict()
    expected = found @ head["head.weight"].numpy().T + head["head.bias"].numpy()
    np.testing.assert_allclose(expected, predict(made, images, 16), rtol=1e-5, atol=1e-5)
    assert features(build(blueprint(digest)).freeze(), images, 16).shape == (5, 0)
    with pytest.raises(SatError, match=r"has no layer 'neck'.*head"):
        build(blueprint(digest, features="neck"))


@pytest.mark.parametrize(
    "name, words, own",
    [
        ("no_module", "returns a int instead of an nn.Module", {}),
        ("fails", r"my_nets\.py, line \d+: KeyError: 'depth'", {}),
        ("wide", r"two images give \(2, 20\) instead of logits of shape \(2, 10\)", {}),
        ("plain", r"does not take images of shape \(2, 3, 9, 9\)", {"size": 9}),
        ("pair", r"returns a tuple of 2 in place of one tensor.*: return self\.net\(x\)\[0\]", {}),
        ("named", r"returns a dict with the keys 'scores'.*: return self\.net\(x\)\['logits'\]", {}),
        ("hugging", r"OutputWithNoAttention in place of one tensor.*: return self\.net\(x\)\.logits", {"size": 32}),
        ("number", "returns a float in place of one tensor of logits", {}),
        ("quits", r"my_nets\.py, line \d+: it calls sys\.exit", {}),
        ("constant", r"my_nets\.py has a int of this name.*function constant\(num_classes\)", {}),
        ("gone", r"my_nets\.py has no such name when it is imported", {}),
        ("Bare", r"its function takes \(\) and is called with num_classes", {}),
        ("deep", r"my_nets\.py, line \d+: TypeError", {}),
    ],
)
def test_a_net_that_cannot_be_used_is_told(study, name, words, own):
    with pytest.raises(SatError, match=words):
        build(blueprint(study[1], name, **own))


def test_a_line_around_a_net_of_transformers_and_a_class_will_do(study):
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), np.uint8)
    assert predict(build(blueprint(study[1], "wrapped", size=32)).freeze(), images, 16).shape == (3, 10)
    assert predict(build(blueprint(study[1], "Direct")).freeze(), images[..., :8, :8], 16).shape == (3, 10)


def test_a_net_that_returns_more_in_training_is_told(study):
    from sat.models.training import train

    images = np.zeros((64, 3, 8, 8), np.uint8)
    with pytest.raises(ValueError, match=r"my_nets:twice: in training, it returns a tuple of 2 in place"):
        train(blueprint(study[1], "twice"), images, np.arange(64) % 10, Training(epochs=1), seed=(0, "m"))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"input_size": "large"}, "says input_size = 'large' in its pretrained_cfg"),
        ({"input_size": (3, 8, 9)}, r"says input_size = \(3, 8, 9\).*\(3, 224, 224\)"),
        ({"input_size": []}, r"says input_size = \[\]"),
        ({"mean": (123.7, 116.3, 103.5)}, r"says mean = \(123\.7.*in units of \[0, 1\].*fill the column 'mean'"),
        ({"mean": None}, "does not say its mean, so the columns of this name must"),
        ({"std": (1.0, 0.0, 1.0)}, "says std"),
        ({"std": {"r": 1}}, "says std"),
    ],
)
def test_odd_settings_of_a_net_are_told_and_the_table_wins(study, said, words):
    digest = study[1]
    whole = {"input_size": (3, 8, 8), "mean": 0.5, "std": [0.5, 0.25, 0.125]}
    found = plan_blueprint("my_nets:cfg", 10, own=Own(digest, whole))
    assert (found.input_size, found.mean, found.std) == (8, (0.5,) * 3, (0.5, 0.25, 0.125))
    own = Own(digest, {**whole, **said})
    with pytest.raises(SatError, match=words):
        plan_blueprint("my_nets:cfg", 10, own=own)
    assert plan_blueprint("my_nets:cfg", 10, 8, (0.1,) * 3, (0.2,) * 3, own).mean == (0.1,) * 3


def test_settings_may_be_an_object_or_missing(study):
    digest = study[1]
    found = plan_blueprint("my_nets:timms", 10, std=(1.0,) * 3, own=Own(digest))
    assert (found.input_size, found.mean) == (8, (0.1, 0.2, 0.3))
    with pytest.raises(SatError, match="does not say its input_size and mean and std"):
        plan_blueprint("my_nets:cfg", 10, own=Own(digest))


def test_another_option_is_told(study):
    with pytest.raises(SatError, match=r"takes \(num_classes, width=8\) and is called with num_classes, depth"):
        build(blueprint(study[1], options={"depth": 3}))


@pytest.mark.parametrize(
    "name, words",
    [("good", ""), ("other", r"same weights, its logits differ by up to 0\.\d+"), ("narrow", "weights do not fit it")],
)
def test_the_net_around_stored_weights_must_be_the_trained_one(study, name, words):
    trained, again = (build(blueprint(study[1], name), options={"pretrained": asked}).net for asked in (True, False))
    if not words:
        check_rebuilt(trained, again, name, 8)
        return
    with pytest.raises(SatError, match=words):
        check_rebuilt(trained, again, name, 8)


@pytest.mark.parametrize("what", ["source", "compiled", "gone"])
def test_a_copy_that_was_changed_does_not_run(study, what):
    results, digest = study
    folder = results / "code" / digest
    if what == "source":
        (folder / "my_nets.py").write_text(NETS + "\nraise SystemExit")
    elif what == "compiled":
        (folder / "__pycache__").mkdir()
        (folder / "__pycache__/my_nets.cpython-311.pyc").write_bytes(b"x")
    else:
        folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(SatError, match=r"does not hold the code of its name|is not there"):
        build(blueprint(digest))


def test_another_module_of_the_name_is_told(study, tmp_path):
    _, digest = study
    build(blueprint(digest))
    (tmp_path / "parts.py").write_text("from torch import nn\nclass Flat(nn.Flatten):\n    changed = True\n")
    other = code.read_code([tmp_path / "my_nets.py"])["my_nets"]
    code.keep_code([other], study[0])
    with pytest.raises(SatError, match=r"another module 'late' is loaded"):
        build(blueprint(other.digest))


def test_nothing_is_written_beside_the_copy(study):
    results, digest = study
    predict(build(blueprint(digest)).freeze(), np.zeros((1, 3, 8, 8), np.uint8), 16)
    folder = results / "code" / digest
    assert sorted(path.name for path in folder.rglob("*")) == ["late.py", "my_nets.py", "parts.py"]
    assert [path.name for path in (results / "code").iterdir()] == [digest]


def test_a_net_is_fine_tuned_to_other_classes(study):
    from sat.models.training import build_for_training

    digest = study[1]
    start = build(blueprint(digest, classes=7)).net.state_dict()
    tuned = build_for_training(blueprint(digest), Training(), start).net.state_dict()
    assert torch.equal(tuned["body.1.weight"], start["body.1.weight"]) and tuned["head.weight"].shape == (10, 8)
    with pytest.raises(ValueError, match="does not take every setting"):
        build_for_training(blueprint(digest), Training(dropout=0.1), None)
