import argparse
import csv

import pytest
import timm
import torch
from torch import nn

from projects import ROOT
from sat.cli import describe as command
from sat.errors import SatError
from sat.models import describe as module
from sat.models.classifier import plan_blueprint
from sat.models.describe import describe, run
from sat.study.components import COMPONENTS, check_component


def read(name):
    with (ROOT / "studies" / name).open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


TABLE = {row["model"]: row for row in read("imagenet69.csv")}
REVIEWED = {
    (entry["component"], model): entry for entry in read("imagenet69_reviewed.csv") for model in entry["models"].split()
}


@pytest.mark.parametrize("model", TABLE)
def test_description_is_the_table_of_the_imagenet_study(model):
    row = TABLE[model]
    expected = {name: row[name] for name in ("architecture", "family", "n_parameters", "gmacs", *COMPONENTS)}
    for (component, name), entry in REVIEWED.items():
        if name == model:
            expected[component] = entry["described"]
    assert describe(row["architecture"]) == expected


# By hand, from the papers and the figures in them; in the order of the vocabulary.
KNOWN = {
    "resnet50": "CNN yes 7s2 224 BatchNorm ReLU yes average none none none no no",
    "resnext50_32x4d": "CNN yes 7s2 224 BatchNorm ReLU yes average none none none no yes",
    "seresnet50": "CNN yes 7s2 224 BatchNorm ReLU yes average none SE end no no",
    "skresnet18": "CNN yes 7s2 224 BatchNorm ReLU yes average none SK middle no no",
    "resnet50_clip": "CNN yes 3s2/3/3 224 BatchNorm ReLU yes attention none none none no no",
    "densenet121": "CNN yes 7s2 224 BatchNorm ReLU yes average none none none no no",
    "vgg11": "CNN yes 3s1 224 none ReLU no average none none none no no",
    "repvgg_b0": "CNN yes 3s2 224 BatchNorm ReLU no average none none none no no",
    "mobilenetv2_100": "CNN yes 3s2 224 BatchNorm ReLU6 no average none none none yes no",
    "convnext_tiny": "CNN yes 4s4 224 LayerNorm GELU no average none none none yes no",
    "dm_nfnet_f0": "CNN yes 3s2/3/3/3s2 192 none GELU+ReLU no average none SE end no yes",
    "halonet_h1": "CNN yes 7s2 256 BatchNorm ReLU yes average Halo none none no no",
    "efficientnet_b0": "NAS-CNN yes 3s2 224 BatchNorm SiLU no average none SE middle yes no",
    "mobilenetv3_large_100": "NAS-CNN yes 3s2 224 BatchNorm Hardswish+ReLU no average none SE middle yes no",
    "regnety_002": "NAS-CNN yes 3s2 224 BatchNorm ReLU no average none SE middle no yes",
    "vit_small_patch16_224": "Transformer no 16s16 224 LayerNorm GELU no class-token none none none no no",
    "vit_base_patch16_siglip_224": "Transformer no 16s16 224 LayerNorm GELU no attention none none none no no",
    "swin_tiny_patch4_window7_224": "Transformer yes 4s4 224 LayerNorm GELU no average none none none no no",
    "levit_128": "Transformer yes 3s2/3s2/3s2/3s2 224 BatchNorm Hardswish no average none none none no no",
    "levit_conv_128": "Transformer yes 3s2/3s2/3s2/3s2 224 BatchNorm Hardswish no average none none none no no",
    "crossvit_9_240": "Transformer yes 16s16 240 LayerNorm GELU no class-token none none none no no",
    "mobilevit_xxs": "Hybrid yes 3s2 256 BatchNorm+LayerNorm SiLU no average none none none yes no",
    "mixer_b16_224": "MLP-Mixer no 16s16 224 LayerNorm GELU no average none none none no no",
}


@pytest.mark.parametrize("architecture", KNOWN)
def test_components_known_from_the_literature(architecture):
    found = describe(architecture)
    assert " ".join(found[name] for name in COMPONENTS) == KNOWN[architecture]
    assert found["architecture"].split(".")[0] == architecture


@pytest.mark.parametrize("architecture", timm.list_models("test_*"))
def test_small_models_are_described_in_the_vocabulary(architecture):
    found = describe(architecture)
    for name in COMPONENTS:
        check_component(name, found[name])
    real = timm.create_model(architecture)
    assert int(found["n_parameters"]) == sum(parameter.numel() for parameter in real.parameters())


@pytest.mark.parametrize(
    ("architecture", "count"),
    [("resnet50", 25_557_032), ("vit_base_patch16_224", 86_567_656), ("efficientnet_b0", 5_288_548)],
)
def test_parameters_are_those_that_are_published(architecture, count):
    assert describe(architecture)["n_parameters"] == str(count)


def test_multiply_accumulates_of_a_vit_follow_its_formula():
    tokens, width, blocks = 14 * 14 + 1, 384, 12
    patches = 14 * 14 * (3 * 16 * 16) * width
    attention = tokens * 4 * width * width + 2 * tokens * tokens * width
    mlp = 2 * tokens * width * (4 * width)
    expected = patches + blocks * (attention + mlp) + width * 1000
    assert describe("vit_small_patch16_224")["gmacs"] == f"{expected / 1e9:.3f}"


class Handmade(nn.Module):
    """A stem of two convolutions and pooling, and blocks with a channel attention in the middle or at the end."""

    feature_info = ({"reduction": 4}, {"reduction": 4})

    class SEModule(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Conv2d(8, 8, 1)

        def forward(self, x):
            return x * self.fc(x.mean((2, 3), keepdim=True)).sigmoid()

    class Block(nn.Module):
        def __init__(self, last):
            super().__init__()
            self.conv1 = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
            self.conv2 = nn.Conv2d(8, 8, 1, bias=False)
            self.se = Handmade.SEModule()
            self.last = last

        def forward(self, x):
            return self.se(self.conv2(self.conv1(x))) if self.last else self.conv2(self.se(self.conv1(x)))

    def __init__(self, last):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 5, 2, 2, bias=False)
        self.conv2 = nn.Conv2d(4, 8, 3, 1, 1, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.blocks = nn.Sequential(Handmade.Block(last), Handmade.Block(last))
        self.unused = nn.Conv2d(8, 8, 3, groups=4)

    def forward(self, x):
        return self.blocks(self.pool(self.conv2(self.conv1(x)))).mean((2, 3))


@pytest.mark.parametrize("last", [False, True])
def test_a_net_made_by_hand(last):
    trace = run(Handmade(last).eval(), (3, 16, 16))
    stem = 8 * 8 * (3 * 5 * 5 * 4 + 4 * 3 * 3 * 8)
    block = 4 * 4 * (3 * 3 * 8 + 8 * 8) + 8 * 8
    assert trace.macs == stem + 2 * block
    assert module.stem(trace) == "5s2/3"
    assert module.stem_pooling(trace) == "yes"
    assert module.channel_attention_location(trace) == ("end" if last else "middle")
    assert module.depthwise_convolution(trace) == "yes"
    assert module.group_convolution(trace) == "no", "a layer that never runs is not part of the model"
    assert module.base_architecture(trace, "handmade") == "CNN"
    assert module.base_architecture(trace, "regnet_handmade") == "NAS-CNN"
    assert module.activation(trace) == "none"


def test_hooks_are_gone_after_the_run():
    net = Handmade(False)
    first = run(net, (3, 16, 16))
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())
    assert len(run(net, (3, 16, 16)).steps) == len(first.steps)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("resnet50", "resnet50.a1_in1k"),
        ("resnet50.tv2_in1k", "resnet50.tv2_in1k"),
        ("gluon_resnet101_v1c", "resnet101c.gluon_in1k"),
        ("test_mambaout", "test_mambaout"),
    ],
    ids=["default tag", "tag", "renamed", "no tag"],
)
def test_architecture_has_its_tag(name, full):
    assert describe(name)["architecture"] == full


@pytest.mark.parametrize("name", ["resnet_fifty", "resnet50.no_such_tag"])
def test_unknown_architecture_is_refused_with_close_names(name):
    with pytest.raises(SatError, match=r"knows no such model; close to it: \w+") as error:
        describe(name)
    with pytest.raises(SatError) as planned:
        plan_blueprint(name, 10, 32)
    assert str(error.value) == str(planned.value)


def output(capsys, *arguments):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args(arguments))
    return capsys.readouterr().out


def test_command_prints_a_line_a_column(capsys):
    lines = output(capsys, "test_resnet", "test_vit").splitlines()
    blank = lines.index("")
    assert lines[0].split() == ["architecture:", "test_resnet.r160_in1k"]
    assert lines[blank + 1].split() == ["architecture:", "test_vit.r160_in1k"]
    assert [line.split(":")[0] for line in lines[:blank]] == list(describe("test_resnet"))
    assert len({line.index(line.split()[1]) for line in lines if line}) == 1, "values stand below each other"


def test_command_prints_a_table(capsys):
    found = list(csv.DictReader(output(capsys, "--csv", "test_resnet", "test_vit").splitlines()))
    assert found == [describe("test_resnet"), describe("test_vit")]


def test_command_is_registered_and_reports_unknown_names(capsys, monkeypatch):
    from sat.__main__ import main

    monkeypatch.setattr("gc.disable", lambda: None)
    assert main(["describe", "resnet_fifty"]) == 1
    assert "close to it" in capsys.readouterr().err


def test_nothing_is_computed(monkeypatch):
    devices = set()
    original = module.run

    def spy(model, input_size):
        devices.update(parameter.device.type for parameter in model.parameters())
        return original(model, input_size)

    monkeypatch.setattr(module, "run", spy)
    describe("test_resnet")
    assert devices == {"meta"}
    assert torch.get_default_device().type == "cpu"
