"""What is known of timm's names without timm."""

import re
import subprocess
import sys

import pytest

from conftest import ROOT
from sat.models.names import architectures, optimisers
from sat.study import names
from sat.study.names import ARCHITECTURES, OPTIMISERS, check_architecture, check_optimiser


@pytest.mark.parametrize(("file", "content"), [(ARCHITECTURES, architectures), (OPTIMISERS, optimisers)])
def test_shipped_lists_are_those_of_the_installed_timm(file, content):
    assert file.read_text() == content(), "PYTHONPATH=workflow python -m sat.models.names"


def test_names_can_be_read_without_importing_timm():
    code = """
import sys
from sat.study import names
found = names._installed_architectures()
assert not {"timm", "torch"} & set(sys.modules)
print("\\n".join(sorted(found)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "workflow", capture_output=True, text=True, check=True
    )
    shipped = {name for name in ARCHITECTURES.read_text().splitlines()[1:] if "." not in name}
    assert set(done.stdout.split()) == shipped


@pytest.mark.parametrize(
    ("architecture", "from_hub"),
    [
        ("resnet50", False),
        ("resnet50.a1_in1k", True),
        ("resnet50.a_tag_that_means_nothing", False),
        # timm still takes this name, and calls it old.
        ("convnext_base_in22k", False),
    ],
)
def test_names_that_timm_takes(architecture, from_hub):
    check_architecture(architecture, from_hub)


@pytest.mark.parametrize(
    ("architecture", "from_hub", "advice"),
    [
        ("resnet5", False, "has no architecture 'resnet5'; did you mean resnet50"),
        ("ResNet50.a1_in1k", True, "did you mean resnet50"),
        ("zzzzzzzz", False, "sat describe"),
        ("resnet50.a1_in1", True, "the hub has no weights 'resnet50.a1_in1'; did you mean resnet50.a1_in1k"),
        ("resnet50.nothing", True, "write resnet50 with one of a1_in1k,"),
        ("resnet50_gn.untrained_tag", True, "write resnet50_gn with one of a1h_in1k"),
        ("hf-hub:timm/resnet50.a1_in1k", True, "is a place"),
        ("local-dir:/somewhere", False, "is a place"),
        ("timm/resnet50", False, "is a place"),
        ("C:\\nets", False, "is a place"),
    ],
)
def test_names_that_timm_does_not_take(architecture, from_hub, advice):
    with pytest.raises(ValueError, match=re.escape(advice)):
        check_architecture(architecture, from_hub)


@pytest.fixture
def other_timm(tmp_path, monkeypatch):
    """A timm that is newer than the lists, and is not imported."""
    (tmp_path / "models").mkdir()
    (tmp_path / "optim").mkdir()
    (tmp_path / "version.py").write_text("__version__ = '9.9.9'\n")
    (tmp_path / "models/new.py").write_text(
        "default_cfgs = {'newnet.some_tag': 1, 'resnet50.new_tag': 1}\n"
        "@register_model\ndef newnet(pretrained=False):\n    raise SystemExit\n"
        "register_model_deprecations(__name__, {\n    'newnet_old': 'newnet.some_tag',\n})\n"
    )
    (tmp_path / "optim/_optim_factory.py").write_text("OptimInfo(\n    name='newton',\n)\n")

    def forget():
        for cached in (
            names._installed,
            names._installed_text,
            names._installed_version,
            names._installed_architectures,
        ):
            cached.cache_clear()

    forget()
    monkeypatch.setattr(names, "_installed", lambda: tmp_path)
    yield
    monkeypatch.undo()
    forget()


def test_a_newer_timm_may_have_more(other_timm):
    for architecture in ("newnet", "newnet_old", "resnet50.new_tag", "newnet.some_tag"):
        check_architecture(architecture, from_hub="." in architecture)
    check_optimiser("newton")
    with pytest.raises(ValueError, match=r"neither timm .* nor 9\.9\.9, which is installed, .*did you mean newnet"):
        check_architecture("newnets", from_hub=False)


@pytest.mark.parametrize("name", ["adamw", "AdamW", "sgd", "nesterov", "bnblion"])
def test_optimisers_that_can_be_used(name):
    check_optimiser(name)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("adamx", "has no optimiser 'adamx'; did you mean adamax"),
        ("steepest", "adamw, sgd, lamb or lion"),
        ("kron", "cannot be used"),
        ("adahessian", "second derivatives"),
        ("", "has no optimiser ''"),
    ],
)
def test_optimisers_that_cannot(name, advice):
    with pytest.raises(ValueError, match=re.escape(advice)):
        check_optimiser(name)
