"""Estimates of memory and time: plain properties, and the peak memory of real attacks and predictions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from projects import ROOT
from sat.study import resources
from sat.study.resources import (
    BASE_MB,
    CUDA_MB,
    Needs,
    Size,
    attack_needs,
    clean_needs,
    evaluate_needs,
    images_needs,
    training_needs,
    weights_needs,
)

RESNET50 = Size(25_557_032, 4.09, 224)
CONVMIXER = Size(51_625_960, 51.1, 224)
UNKNOWN = Size()
MODELS = {"resnet50": RESNET50, "convmixer": CONVMIXER, "unknown": UNKNOWN, "one parameter": Size(1, 1e-9, 1)}
DEVICES = ("cpu", "cuda")


def all_needs(model: Size, device: str, images: int = 1000, batch: int = 64) -> dict[str, Needs]:
    return {
        "clean": clean_needs(model, images, 224, batch, device),
        "attack": attack_needs(model, images, 224, batch, 10, device),
        "evaluate": evaluate_needs([model] * 8, 8, images, 224, batch, device),
        "training": training_needs(model, images, 224, batch, 5, device),
        "weights": weights_needs(model),
        "images": images_needs(images, 224),
    }


def test_needs_grow_with_the_attempt() -> None:
    needs = Needs(3000, 20)
    assert needs.grow(1) == needs
    assert needs.grow(3) == Needs(9000, 60)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_needs_are_whole_numbers_above_the_base(model: Size, device: str) -> None:
    for stage, needs in all_needs(model, device).items():
        base = CUDA_MB if device == "cuda" and stage not in ("weights", "images") else BASE_MB
        assert isinstance(needs.mem_mb, int) and needs.mem_mb >= base, stage
        assert isinstance(needs.minutes, int) and needs.minutes >= resources.LEAST_MINUTES, stage


@pytest.mark.parametrize("device", DEVICES)
def test_needs_grow_with_images(device: str) -> None:
    few, many = (all_needs(RESNET50, device, images=images) for images in (1000, 50_000))
    for stage in few:
        assert many[stage].minutes > few[stage].minutes or stage == "weights"
    for stage in ("clean", "evaluate", "training"):
        assert many[stage].mem_mb > few[stage].mem_mb
    assert many["attack"].mem_mb == few["attack"].mem_mb, "an attack holds a batch, however many there are"


def test_memory_grows_with_the_batch_on_the_cpu() -> None:
    small, large = (all_needs(RESNET50, "cpu", batch=batch) for batch in (16, 128))
    for stage in ("clean", "attack", "evaluate", "training"):
        assert large[stage].mem_mb > 1.5 * small[stage].mem_mb, stage


def test_a_batch_holds_no_more_than_the_images_padded_to_sixteen() -> None:
    assert (
        attack_needs(RESNET50, 17, 224, 128, 10).mem_mb
        == attack_needs(RESNET50, 32, 224, 32, 10).mem_mb
        < attack_needs(RESNET50, 33, 224, 128, 10).mem_mb
    )


@pytest.mark.parametrize("device", DEVICES)
def test_time_grows_with_steps_epochs_sources_and_size(device: str) -> None:
    def attack(model: Size, steps: int) -> int:
        return attack_needs(model, 5000, 224, 128, steps, device).minutes

    def training(epochs: int) -> int:
        return training_needs(RESNET50, 5000, 224, 128, epochs, device).minutes

    def evaluate(targets: int, sources: int) -> int:
        return evaluate_needs([RESNET50] * targets, sources, 5000, 224, 128, device).minutes

    assert attack(CONVMIXER, 50) > attack(CONVMIXER, 10) > attack(RESNET50, 10)
    assert training(100) > training(10)
    assert evaluate(8, 8) > max(evaluate(8, 1), evaluate(1, 8))


def test_threads_save_time_and_cost_memory() -> None:
    one, four = (attack_needs(RESNET50, 1000, 224, 64, 10, threads=threads) for threads in (1, 4))
    assert one.minutes / 4 < four.minutes < one.minutes
    assert four.mem_mb > one.mem_mb


def test_activations_are_on_the_gpu() -> None:
    """With CUDA, the host's memory does not depend on what the net keeps for its gradient."""
    small, large = (attack_needs(Size(10_000_000, gmacs, 224), 5000, 224, 128, 10, "cuda") for gmacs in (0.5, 50))
    assert small.mem_mb == large.mem_mb < attack_needs(Size(10_000_000, 0.5, 224), 5000, 224, 128, 10, "cpu").mem_mb


def test_noise_costs_memory_and_a_round() -> None:
    diagonal, other = (
        evaluate_needs([RESNET50] * 8, 8, 5000, 224, 128, "cuda", diagonal=value) for value in (True, False)
    )
    # While it predicts: 2 bytes a value for the noise instead of 1 for a perturbation.
    assert diagonal.mem_mb - other.mem_mb == pytest.approx(5000 * 3 * 224**2 / 1e6, abs=1)
    assert diagonal.minutes > other.minutes


def test_a_net_of_which_nothing_is_known_asks_for_what_a_resnet50_does() -> None:
    for device in DEVICES:
        known, unknown = all_needs(RESNET50, device), all_needs(UNKNOWN, device)
        for stage, needs in known.items():
            assert unknown[stage].mem_mb == pytest.approx(needs.mem_mb, rel=0.02), stage
            assert unknown[stage].minutes == pytest.approx(needs.minutes, rel=0.02), stage


def test_what_an_unknown_net_asks_for_grows_with_canvas_batch_and_images() -> None:
    """Once, it was 4 GB and two hours for any; a net of 224 px then took 10.2 GB with 59 images."""
    usual = attack_needs(UNKNOWN, 1000, 224, 64, 10)
    assert attack_needs(UNKNOWN, 59, 224, 64, 10).mem_mb > 10_200
    assert attack_needs(UNKNOWN, 1000, 384, 64, 10).mem_mb > 2 * usual.mem_mb
    assert attack_needs(UNKNOWN, 1000, 224, 128, 10).mem_mb > 1.5 * usual.mem_mb
    assert attack_needs(UNKNOWN, 5000, 224, 64, 50).minutes > 20 * usual.minutes
    assert attack_needs(UNKNOWN, 359, 32, 64, 10).minutes == resources.LEAST_MINUTES


def test_one_unknown_target_adds_its_part() -> None:
    known = evaluate_needs([CONVMIXER] * 7, 8, 5000, 224, 128)
    mixed = evaluate_needs([CONVMIXER] * 7 + [UNKNOWN], 8, 5000, 224, 128)
    assert mixed.mem_mb > known.mem_mb
    assert mixed.minutes > known.minutes


def test_counted_memory_is_taken_in_place_of_the_bound() -> None:
    """What a job holds for images beside the bases is in proportion to the memory that was counted for one."""
    one, two = (Size(25_557_032, 4.09, 224, 10.0 * k, 80.0 * k) for k in (1, 2))
    bases = [needs(Size(25_557_032, 4.09, 224, 1e-9, 1e-9)) for needs in (_attack_mb, _clean_mb)]
    for needs, base in zip((_attack_mb, _clean_mb), bases, strict=True):
        assert needs(two) - base == pytest.approx(2 * (needs(one) - base), abs=3)
        assert needs(one) < needs(RESNET50)


def _attack_mb(size: Size) -> int:
    return attack_needs(size, 1000, 224, 64, 10).mem_mb


def _clean_mb(size: Size) -> int:
    return clean_needs(size, 1000, 224, 64).mem_mb


def test_a_row_without_input_size_is_as_large_as_the_canvas() -> None:
    bare, sized = Size(25_557_032, 4.09), Size(25_557_032, 4.09, 320)
    assert attack_needs(bare, 1000, 320, 64, 10) == attack_needs(sized, 1000, 320, 64, 10)


def test_estimates_need_no_torch() -> None:
    code = (
        "import sys; import sat.study.resources; "
        "assert not {'torch', 'timm', 'numpy', 'h5py'} & set(sys.modules), 'heavy imports'"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


# --- against what is measured

MEASURE = """
import json, sys
import numpy as np
# What the commands import.
import sat.stages.attack, sat.stages.clean, sat.store.hdf5
import torch
from sat.attacks.lattice import ascend
from sat.models.classifier import load_classifier, predict

def peak():
    # Not getrusage: on Linux a child starts with its parent's peak.
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6

torch.set_num_threads(1)
classifier = load_classifier(sys.argv[1])
images = np.random.default_rng(0).integers(0, 256, (16, 3, 224, 224), np.uint8)
predict(classifier, images, 16)
predicted = peak()
ascend(classifier, images, np.zeros(16, np.int64), eps=8, step=2, steps=2)
print(json.dumps({"clean": predicted, "attack": peak()}))
"""

# A training as its job runs it, with what it imports.
TRAIN = """
import sys
import numpy as np
import sat.stages.train, sat.stages.common, sat.store.checkpoint, sat.store.chunks, sat.models.precision
import torch
from sat.models.classifier import plan_blueprint, save_classifier
from sat.models.training import train
from sat.study.training import Training

torch.set_num_threads(1)
draws = np.random.default_rng(0)
images, labels = draws.integers(0, 256, (256, 3, 32, 32), np.uint8), draws.integers(0, 10, 256)
blueprint = plan_blueprint("test_nfnet", num_classes=10, input_size=32)
trained = train(blueprint, images, labels, Training(epochs=2, batch_size=64), seed=(0,))
save_classifier(trained.classifier, sys.argv[1])
line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(line.split()[1]) * 1024 / 1e6)
"""

# None of these five decided a constant of the bound by three numbers.
MEASURED = {
    "resnext50_32x4d": Size(25_028_904, 4.23, 224),
    "rexnet_150": Size(9_728_593, 0.876, 224),
    "vit_small_patch16_224": Size(22_050_664, 4.60, 224),
    "poolformer_s12": Size(11_915_176, 1.81, 224),
    "sehalonet33ts": Size(13_691_712, 3.53, 256),
}


def _printed(code: str, path: Path) -> str:
    """What a process prints that has a job's environment."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "workflow"),
        "OMP_NUM_THREADS": "1",
        # As jobs have them, from workflow/rules/job.sh.
        "MALLOC_MMAP_THRESHOLD_": "33554432",
        "MALLOC_TRIM_THRESHOLD_": "1073741824",
        "MALLOC_TOP_PAD_": "67108864",
    }
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_the_estimate_of_a_training_is_above_its_peak_and_not_far_above(tmp_path: Path) -> None:
    from sat.models.classifier import load_classifier
    from sat.models.sizes import size_facts

    peak = float(_printed(TRAIN, tmp_path / "net.safetensors"))
    counted = Size(**size_facts(load_classifier(tmp_path / "net.safetensors")))
    for size in (Size(counted.n_parameters, counted.gmacs, counted.input_size), counted):
        asked = training_needs(size, 256, 32, 64, 2).mem_mb
        assert peak <= asked <= 2.5 * peak, f"{peak:.0f} MB measured, {asked} estimated"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize("architecture", MEASURED)
def test_estimates_are_above_the_peak_and_not_far_above(architecture: str, tmp_path: Path) -> None:
    from sat.models.classifier import build, plan_blueprint, save_classifier
    from sat.models.sizes import size_facts

    row = MEASURED[architecture]
    net = build(plan_blueprint(architecture, 1000, row.input_size or 224))
    assert sum(value.numel() for value in net.parameters()) == row.n_parameters
    save_classifier(net, tmp_path / "net.safetensors")
    counted = Size(**size_facts(net))
    assert counted.gmacs == pytest.approx(row.gmacs, rel=0.01)
    del net
    peaks = json.loads(_printed(MEASURE, tmp_path / "net.safetensors"))
    for size, most in ((row, 4), (counted, 2.5)):
        estimates = {
            "clean": clean_needs(size, 16, 224, 16).mem_mb,
            "attack": attack_needs(size, 16, 224, 16, 2).mem_mb,
        }
        for stage, peak in peaks.items():
            asked = estimates[stage]
            assert peak <= asked <= most * peak, f"{stage}: {peak:.0f} MB measured, {asked} estimated"
