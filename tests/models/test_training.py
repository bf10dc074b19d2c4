import copy
import math

import numpy as np
import pytest
import torch

from sat.images.datasets import decode, open_dataset
from sat.images.images import to_canvas
from sat.models.classifier import build, plan_blueprint, predict
from sat.models.training import Distillation, distillation_loss, make_optimiser, make_schedule, train
from sat.study.training import Training

SETTINGS = {
    "epochs": 1,
    "batch_size": 64,
    "learning_rate": 0.002,
    "noise": 0.02,
}
EVERYTHING = {
    **SETTINGS,
    "epochs": 3,
    "crop_scale": 0.5,
    "flip": 0.5,
    "auto_augment": "rand-m9-mstd0.5-inc1",
    "random_erasing": 0.5,
    "mixup": 0.4,
    "cutmix": 1.0,
    "dropout": 0.2,
    "drop_path": 0.2,
    "schedule": "cosine",
    "warmup_epochs": 1,
}


@pytest.fixture(scope="module")
def images():
    data = open_dataset("digits", None, "", None)
    scans = [decode(scan)[0] for _, scan in data.read(range(512))]
    return np.stack([to_canvas(scan, 32, 1.0) for scan in scans]), data.listing().labels[:512]


@pytest.fixture(scope="module")
def blueprint():
    return plan_blueprint("test_resnet", 10, 32)


def trained(blueprint, images, seed=0, workers=0, **settings):
    found = train(blueprint, *images, Training(**{**SETTINGS, **settings}), seed=(seed, "m"), workers=workers)
    return found.classifier.net.state_dict()


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


class Kept:
    """A checkpoint in memory, after every epoch; `stop` ends the job as a kill would."""

    due = True

    def __init__(self, stop=None):
        self.state, self.stop = None, stop

    def read(self):
        return copy.deepcopy(self.state)

    def write(self, state):
        self.state = copy.deepcopy(state)
        if len(state["history"]) == self.stop:
            raise KeyboardInterrupt


def test_it_learns(images, blueprint):
    found = train(blueprint, *images, Training(**{**SETTINGS, "epochs": 8, "batch_size": 32}), seed=(0, "m"))
    assert [record["epoch"] for record in found.history] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert found.history[-1]["loss"] < found.history[0]["loss"]
    accuracy = (predict(found.classifier.freeze(), images[0], 128).argmax(1) == images[1]).mean()
    assert accuracy > 0.7, "chance is 0.1"
    assert accuracy == pytest.approx(found.history[-1]["accuracy"], abs=0.1)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(images, blueprint):
    torch.manual_seed(123)
    first = trained(blueprint, images)
    torch.manual_seed(321)
    assert same(first, trained(blueprint, images))
    assert not same(first, trained(blueprint, images, seed=1))


def test_processes_that_prepare_images_change_nothing(images, blueprint):
    part = images[0][:128], images[1][:128]
    assert same(trained(blueprint, part, **EVERYTHING), trained(blueprint, part, workers=2, **EVERYTHING))


@pytest.mark.parametrize("change", ["flip", "crop_scale", "auto_augment", "random_erasing", "mixup", "cutmix", "noise"])
def test_every_way_to_augment_does_something(images, blueprint, change):
    part = images[0][:64], images[1][:64]
    plain = trained(blueprint, part, noise=0.0)
    assert not same(plain, trained(blueprint, part, **{"noise": 0.0, change: EVERYTHING[change]}))


@pytest.mark.parametrize("optimiser", ["adamw", "sgd", "lamb", "lion", "muon", "rmsproptf"])
def test_training_that_was_stopped_ends_in_the_same_weights(images, blueprint, optimiser):
    settings = Training(**{**EVERYTHING, "optimiser": optimiser})
    part = images[0][:128], images[1][:128]
    whole = train(blueprint, *part, settings, seed=(0, "m"))
    kept = Kept(stop=2)
    with pytest.raises(KeyboardInterrupt):
        train(blueprint, *part, settings, seed=(0, "m"), checkpoint=kept)
    kept.stop = None
    again = train(blueprint, *part, settings, seed=(0, "m"), checkpoint=kept)
    assert (whole.n_resumed, again.n_resumed) == (0, 2)
    assert same(whole.classifier.net.state_dict(), again.classifier.net.state_dict())
    assert [record["loss"] for record in again.history] == [record["loss"] for record in whole.history]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_learns_and_resumes(images, blueprint, precision):
    settings = Training(**{**SETTINGS, "epochs": 3, "precision": precision})
    # Half precision is slow on a CPU.
    part = images[0][:192], images[1][:192]
    kept = Kept(stop=2)
    with pytest.raises(KeyboardInterrupt):
        train(blueprint, *part, settings, seed=(0, "m"), checkpoint=kept)
    kept.stop = None
    whole, again = (train(blueprint, *part, settings, seed=(0, "m"), checkpoint=item) for item in (None, kept))
    assert whole.history[-1]["loss"] < whole.history[0]["loss"]
    assert same(whole.classifier.net.state_dict(), again.classifier.net.state_dict())
    assert all(value.dtype == torch.float32 for value in whole.classifier.parameters())


@pytest.mark.parametrize(
    ("schedule", "rate"),
    [
        # After Loshchilov & Hutter (2017), eq. 5, with a linear warm-up before.
        ("cosine", lambda t: t / 4 if t < 4 else 0.5 * (1 + math.cos(math.pi * t / 20))),
        ("step", lambda t: t / 4 if t < 4 else 0.5 ** (t // 8)),
        ("constant", lambda t: t / 4 if t < 4 else 1.0),
        ("poly", lambda t: t / 4 if t < 4 else (1 - t / 20) ** 0.5),
    ],
)
def test_learning_rates(blueprint, schedule, rate):
    settings = Training(epochs=5, learning_rate=1.0, schedule=schedule, warmup_epochs=1, decay_epochs=2, decay_rate=0.5)
    optimiser = make_optimiser(build(blueprint), settings)
    set_rate = make_schedule(optimiser, settings, steps=4)
    optimiser.step()
    for done in (1, 2, 3, 4, 7, 8, 15, 16, 19):
        set_rate(done)
        # The warm-up begins at a hundredth.
        expected = 0.01 + 0.99 * rate(done) if done < 4 else rate(done)
        assert optimiser.param_groups[0]["lr"] == pytest.approx(expected, abs=1e-9)


def test_one_cycle_rates_are_torchs(blueprint):
    settings = Training(epochs=5, learning_rate=0.1)
    ours, theirs = make_optimiser(build(blueprint), settings), make_optimiser(build(blueprint), settings)
    set_rate = make_schedule(ours, settings, steps=4)
    cycle = torch.optim.lr_scheduler.OneCycleLR(theirs, 0.1, total_steps=20)
    for done in range(1, 21):
        ours.step()
        theirs.step()
        cycle.step()
        set_rate(done)
        for key in ("lr", "betas"):
            assert ours.param_groups[0][key] == theirs.param_groups[0][key]


@pytest.mark.parametrize("kind", ["soft", "hard"])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_distillation_loss_by_hand(kind, weight):
    random = np.random.default_rng(0)
    student, teacher, labels = random.normal(size=(5, 4)), 3 * random.normal(size=(5, 4)), np.array([0, 3, 1, 1, 2])

    def softmax(logits):
        return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)

    rows, temperature = np.arange(5), 4.0
    entropy = -np.log(softmax(student)[rows, labels]).mean()
    if kind == "hard":
        other = -np.log(softmax(student)[rows, teacher.argmax(1)]).mean()
    else:
        p, q = softmax(teacher / temperature), softmax(student / temperature)
        other = temperature**2 * (p * np.log(p / q)).sum(1).mean()
    found = distillation_loss(
        torch.tensor(entropy), torch.tensor(student), torch.tensor(teacher), Distillation(kind, temperature, weight)
    )
    assert float(found) == pytest.approx((1 - weight) * entropy + weight * other, rel=1e-9)


def test_a_teacher_sees_what_the_student_sees(images, blueprint):
    """A teacher that knows nothing leaves a student that knows nothing, and gets augmented images in [0, 1]."""
    seen = []

    def teacher(unit):
        seen.append(unit)
        return torch.zeros(len(unit), 10)

    settings = Training(**{**SETTINGS, "epochs": 8, "batch_size": 32, "noise": 0.0, "flip": 1.0})
    found = train(
        blueprint, *images, settings, seed=(0, "m"), teacher=teacher, distillation=Distillation("soft", 1.0, 1.0)
    )
    logits = predict(found.classifier.freeze(), images[0], 128)
    assert np.ptp(logits, axis=1).mean() < 0.5
    assert not seen[0].requires_grad
    known = {image[:, :, ::-1].tobytes() for image in images[0]}
    assert all(image.mul(255).round().to(torch.uint8).numpy().tobytes() in known for image in seen[0])


def test_too_few_images(images, blueprint):
    with pytest.raises(ValueError, match="fewer than one batch"):
        trained(blueprint, (images[0][:10], images[1][:10]))


def test_a_loss_that_explodes_is_an_error(images, blueprint):
    with pytest.raises(FloatingPointError, match="learning_rate"):
        trained(blueprint, images, epochs=3, learning_rate=1e30, clip_gradient=1e30)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"optimiser": "adamv"}, "did you mean adam"),
        ({"optimiser": "adahessian"}, "adamw"),
        ({"optimiser": "kron"}, "adamw"),
        ({"auto_augment": "rand-q3"}, "rand-m9"),
    ],
)
def test_what_timm_does_not_know_is_an_error_that_says_what_it_knows(images, blueprint, settings, words):
    with pytest.raises(ValueError, match=words):
        trained(blueprint, images, **settings)


def test_an_architecture_without_stochastic_depth_says_so(images):
    with pytest.raises(ValueError, match="drop_path"):
        trained(plan_blueprint("vgg11", 10, 32), images, drop_path=0.1)


def test_training_from_other_weights_replaces_the_classifier_alone(blueprint):
    from sat.models.training import build_for_training

    torch.manual_seed(1)
    start = build(plan_blueprint("test_resnet", 1000, 32)).net.state_dict()
    found = build_for_training(blueprint, Training(dropout=0.1, drop_path=0.1), start).net.state_dict()
    assert found.keys() == start.keys()
    differing = {
        name for name in start if found[name].shape != start[name].shape or not torch.equal(found[name], start[name])
    }
    assert differing == {"fc.weight", "fc.bias"}
    with pytest.raises(ValueError, match="do not fit"):
        build_for_training(plan_blueprint("test_vit", 10, 32), Training(), start)
