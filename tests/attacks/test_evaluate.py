import numpy as np

from nets import classifier, digits
from sat.attacks.evaluate import ABSENT, evaluate, perturb
from sat.attacks.lattice import ascend
from sat.models.classifier import predict


def test_a_zero_perturbation_reproduces_the_clean_predictions():
    net = classifier("test_resnet")
    images, _ = digits(70)
    clean = predict(net, images, 64).argmax(1)
    attacked = np.random.default_rng(0).random(70) < 0.6
    found, _ = evaluate(net, images, np.zeros(images.shape, np.int8), attacked, batch=16)
    assert (found[attacked] == clean[attacked]).all()
    assert (found[~attacked] == ABSENT).all()


def test_the_source_itself_errs_where_its_attack_says_so():
    net = classifier("test_vit")
    images, labels = digits(40)
    labels = predict(net, images, 32).argmax(1)
    result = ascend(net, images, labels, eps=24, step=6, steps=3)
    found, _ = evaluate(net, images, result.perturbation, np.ones(40, bool), batch=32)
    assert ((found != labels) == result.fooled).all()


def test_no_attacked_image_and_many_batches():
    net = classifier("test_resnet")
    images, _ = digits(40)
    nothing = np.zeros(images.shape, np.int8)
    assert (evaluate(net, images, nothing, np.zeros(40, bool), batch=16)[0] == ABSENT).all()
    many = np.concatenate([images] * 14)
    clean = predict(net, images, 16).argmax(1)
    found, _ = evaluate(net, many, np.zeros(many.shape, np.int8), np.ones(len(many), bool), batch=16)
    assert (found.reshape(14, 40) == clean).all()


def test_perturb_stays_within_grey_levels():
    images = np.array([0, 3, 128, 250, 255], np.uint8)
    assert perturb(images, np.array([-24, -24, 24, 24, 127])).tolist() == [0, 0, 152, 255, 255]
