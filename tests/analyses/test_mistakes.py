"""Shared mistakes against brute force, enumeration and simulations whose truth is known."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import norm, spearmanr
from sklearn.metrics import roc_auc_score

from analysed import analyse, results_in, vouch
from sat.analyses.mistakes.classes import Mistakes, same_class_p, tally_by_class, tally_by_image
from sat.analyses.mistakes.images import Fooling
from sat.analyses.mistakes.tables import compare, model_table, pool_table, relation_table
from sat.similarity.affinity import fit_affinity
from sat.store import hdf5

CLASSES = 5


def draw(random, labels, shares):
    """A wrong class for each image, from the shares of its true class."""
    edges = shares[labels].cumsum(axis=1)
    return (random.random(len(labels))[:, None] > edges).sum(axis=1).astype(int)


def wrong_shares(random, concentration=1.0):
    """Shares of wrong classes for each true class, 0 for the class itself."""
    shares = random.dirichlet(np.full(CLASSES, concentration), CLASSES)
    np.fill_diagonal(shares, 0)
    return shares / shares.sum(axis=1, keepdims=True)


def slow_by_class(labels, own, wrong):
    """n, same, expected, image by image."""
    n = same = expected = 0
    for i in np.flatnonzero(wrong >= 0):
        others = [j for j in range(len(labels)) if j != i and labels[j] == labels[i] and own[j] >= 0]
        if others:
            n, same = n + 1, same + int(own[i] == wrong[i])
            expected += sum(own[j] == wrong[i] for j in others) / len(others)
    return np.array([n, same, expected], float)


@pytest.mark.parametrize("seed", range(4))
def test_counts_by_class_and_without_each_image_against_a_slow_loop(seed):
    random = np.random.default_rng(seed)
    labels = random.integers(CLASSES, size=40)
    labels[:2] = CLASSES, CLASSES + 1  # two classes of one image, which has no other to be compared with
    own = np.where(random.random(40) < 0.8, random.integers(CLASSES, size=40), -1)
    wrong = np.where((own >= 0) & (random.random(40) < 0.6), random.integers(CLASSES, size=40), -1)
    found = tally_by_class(labels, own, wrong)
    np.testing.assert_allclose(found.total, slow_by_class(labels, own, wrong), atol=1e-12)
    for i in range(40):
        rest = np.arange(40) != i
        np.testing.assert_allclose(
            found.without[:, i], slow_by_class(labels[rest], own[rest], wrong[rest]), atol=1e-12, err_msg=str(i)
        )


def test_counts_by_image_against_a_slow_loop():
    random = np.random.default_rng(0)
    mistakes = random_mistakes(random, models=5, images=60)
    for s, t in permutations(range(5), 2):
        n = same = expected = 0
        for i in range(60):
            there, mine = mistakes.wrong[s, t, i], mistakes.wrong[s, s, i]
            others = [mistakes.wrong[m, m, i] for m in range(5) if m not in (s, t) and mistakes.wrong[m, m, i] >= 0]
            if there >= 0 and mine >= 0 and others:
                n, same = n + 1, same + (there == mine)
                expected += np.mean([other == there for other in others])
        own, wrong = mistakes.own[s], mistakes.shared(s, t)
        found = tally_by_image(own, wrong, mistakes.by_image(s, t))
        np.testing.assert_allclose(found.total, [n, same, expected], atol=1e-12)


def random_mistakes(random, models, images, fooled=0.5, right=0.9):
    labels = random.integers(CLASSES, size=images)
    correct = random.random((models, images)) < right
    prediction = np.where(
        random.random((models, models, images)) < fooled,
        random.integers(CLASSES, size=(models, models, images)),
        labels,
    )
    names = [f"m{i}" for i in range(models)]
    given = ((s, t, prediction[i, j]) for i, s in enumerate(names) for j, t in enumerate(names))
    return Mistakes.of(names, labels, correct, given)


def pair(random, images=300, copied=0.0, fooled=0.4):
    """One direction: the target copies the source's mistake with a probability, else draws its own."""
    labels = random.integers(CLASSES, size=images)
    shares = wrong_shares(np.random.default_rng(99))
    own = draw(random, labels, shares)
    wrong = np.where(random.random(images) < copied, own, draw(random, labels, shares))
    hit = random.random(images) < fooled
    return labels, np.where(random.random(images) < 0.9, own, -1), hit, wrong


@pytest.mark.parametrize("copied", [0.0, 0.3, 0.8])
def test_the_excess_is_the_share_of_copied_mistakes_and_its_interval_covers_it(copied):
    """Equal shares of wrong classes: by chance as often the same as the shares say, so the excess is what is copied."""
    values, inside = [], []
    for seed in range(300):
        labels, own, hit, wrong = pair(np.random.default_rng(seed), copied=copied)
        there = np.where(hit & (own >= 0), wrong, -1)
        value, low, high = tally_by_class(labels, own, there).excess(0.95)
        values.append(value)
        inside.append(low <= copied <= high)
    assert np.mean(values) == pytest.approx(copied, abs=3 * np.std(values) / np.sqrt(300) + 1e-3)
    assert 0.91 < np.mean(inside) < 0.985, np.mean(inside)


def test_p_has_its_size_when_both_directions_share_images_and_few_are_fooled():
    """Both targets make one mistake, whichever image fools them: directions are dependent, and sources are not."""
    p = {0.4: [], 0.03: []}
    shares = wrong_shares(np.random.default_rng(99))
    for seed, fooled in product(range(600), p):
        random = np.random.default_rng([seed, int(100 * fooled)])
        labels = random.integers(CLASSES, size=150)
        first, second, there = (draw(random, labels, shares) for _ in range(3))
        hits = random.random((2, 150)) < fooled
        p[fooled].append(same_class_p(labels, (first, second), tuple(np.where(hit, there, -1) for hit in hits)))
    for values in p.values():
        assert 0.01 < np.nanmean(np.array(values) < 0.05) < 0.07
        assert np.nanmean(np.array(values) < 0.01) < 0.03


def test_p_comes_from_the_mean_and_variance_of_all_relabellings():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    own = np.array([1, 2, 1, 2, 0, 2, 0, -1]), np.array([1, 1, 2, 2, 0, 2, -1, 2])
    wrong = np.array([1, 2, -1, 2, 0, 0, -1, -1]), np.array([1, -1, 2, 1, 2, 2, -1, 2])
    groups = [[0, 1, 2, 3], [4, 5]]  # the last two images are each fooled by one source alone
    counts = []
    for orders in product(*(permutations(group) for group in groups)):
        place = np.arange(8)
        for group, order in zip(groups, orders, strict=True):
            place[group] = order
        counts.append(sum(int(((w >= 0) & (o[place] == w)).sum()) for o, w in zip(own, wrong, strict=True)))
    observed = sum(int(((w >= 0) & (o == w)).sum()) for o, w in zip(own, wrong, strict=True))
    expected = norm.sf((observed - np.mean(counts) - 0.5) / np.std(counts))
    assert same_class_p(labels, own, wrong) == pytest.approx(expected, abs=1e-12)
    nothing = np.full(8, -1)
    assert np.isnan(same_class_p(labels, own, (nothing, nothing)))
    assert same_class_p(labels, (np.ones(8, int),) * 2, (np.ones(8, int),) * 2) == 1, "one wrong class only"


def pool_of(random, models=8, images=600, ambiguity=0.0, copied=0.0, fooled=0.3):
    """A pool. An image of its own ambiguity makes everybody take one class; the first two models copy each other."""
    labels = random.integers(CLASSES, size=images)
    shares = wrong_shares(np.random.default_rng(99))
    image_class = draw(random, labels, shares)
    own = np.stack(
        [np.where(random.random(images) < ambiguity, image_class, draw(random, labels, shares)) for _ in range(models)]
    )
    prediction = np.empty((models, models, images), int)
    for s, t in product(range(models), repeat=2):
        there = np.where(random.random(images) < ambiguity, image_class, draw(random, labels, shares))
        if {s, t} == {0, 1}:
            there = np.where(random.random(images) < copied, own[s], there)
        prediction[s, t] = np.where(random.random(images) < fooled, there, labels) if s != t else own[s]
    names = [f"m{i}" for i in range(models)]
    given = ((s, t, prediction[i, j]) for i, s in enumerate(names) for j, t in enumerate(names))
    return names, Mistakes.of(names, labels, np.ones((models, images), bool), given)


def test_ambiguous_images_are_told_from_copied_mistakes():
    names, mistakes = pool_of(np.random.default_rng(0), ambiguity=0.6, copied=0.7)
    _, pairs = compare(names, mistakes, 0.95)
    others = pairs.iloc[1:]
    assert (others["excess"] > 0.2).all() and (others["p_holm"] < 1e-4).all(), "by class, all pairs look alike"
    assert others["excess_image"].mean() == pytest.approx(0, abs=0.02), "by image, they do not"
    assert (
        others["excess_image"].std() < 0.09
        and ((others["excess_image_low"] < 0) & (others["excess_image_high"] > 0)).mean() > 0.85
    )
    assert pairs.loc[0, "excess_image"] > 0.4 and pairs.loc[0, "excess_image_low"] > 0.3


def test_nothing_shared_is_no_excess():
    names, mistakes = pool_of(np.random.default_rng(1))
    directions, pairs = compare(names, mistakes, 0.95)
    assert pairs["excess"].mean() == pytest.approx(0, abs=0.02) and (pairs["p_holm"] > 0.01).all()
    pool = pool_table(directions, pairs).set_index("quantity")["value"]
    assert pool["same"] == pytest.approx(pool["expected_by_class"], rel=0.04)
    # Sums over directions against sums over the arrays.
    off = ~np.eye(8, dtype=bool)
    fooled = mistakes.wrong[off] >= 0
    same = mistakes.wrong[off] == np.repeat(mistakes.own[:, None], 8, axis=1)[off]
    assert pool["fooled"] == fooled.sum() and pool["same"] == (fooled & same).sum()
    models = model_table(directions, {"m0": "a"})
    assert models["fooled"].sum() == fooled.sum() and models["family"].tolist() == ["a", *[""] * 7]
    assert models["own_share"].between(0.1, 0.6).all()


def fooling(random, models=8, images=1500, image_sd=0.0, pair_sd=0.0, level=-1.5):
    """Log-odds of transfer: a level, an effect of the image on all pairs, and one of image and unordered pair."""
    image = image_sd * random.normal(size=images)
    bond = pair_sd * random.normal(size=(models, models, images))
    bond = np.where(np.triu(np.ones((models, models), bool))[:, :, None], bond, bond.transpose(1, 0, 2))
    correct = random.random((models, images)) < 0.9
    fooled = random.random((models, models, images)) < expit(level + image + bond)
    return Fooling(correct, fooled & correct[:, None] & correct[None])


def totals(found, models=8):
    return np.array([found.both(a, b) for a in range(models) for b in range(a)]).sum(axis=0)


def test_images_that_fool_everybody_explain_what_transfers_both_ways():
    observed, by_rates, by_images = totals(fooling(np.random.default_rng(0), image_sd=1.5))
    assert observed > 1.5 * by_rates
    # The images' difficulty is itself measured, on 30 directions, so not quite all of it is found.
    assert 0.85 < (by_images - by_rates) / (observed - by_rates) < 1.05


def test_without_an_effect_of_images_nothing_is_explained_or_left():
    observed, by_rates, by_images = totals(fooling(np.random.default_rng(1)))
    assert observed == pytest.approx(by_rates, rel=0.05) and by_images == pytest.approx(by_rates, rel=0.02)


def test_what_two_models_alone_share_is_left():
    observed, by_rates, by_images = totals(fooling(np.random.default_rng(2), pair_sd=1.5))
    assert observed > 1.5 * by_rates and by_images == pytest.approx(by_rates, rel=0.03)


def test_difficulty_counts_directions_between_other_models():
    found = fooling(np.random.default_rng(3), models=5, images=50)
    for a, b in ((0, 3), (4, 1)):
        hit, n = np.zeros(50), np.zeros(50)
        for s, t in permutations(set(range(5)) - {a, b}, 2):
            n += found.correct[s] & found.correct[t]
            hit += found.fooled[s, t]
        np.testing.assert_allclose(found.difficulty(a, b), np.log((hit + 0.5) / (n - hit + 0.5)), atol=1e-12)


def test_the_relation_against_scipy_and_scikit_learn():
    names, mistakes = pool_of(np.random.default_rng(4), models=7, images=300, ambiguity=0.3, copied=0.5)
    _, pairs = compare(names, mistakes, 0.95)
    random = np.random.default_rng(5)
    sat, affinity = (pd.DataFrame(part + part.T, names, names) for part in random.normal(size=(2, 7, 7)))
    families = dict(zip(names, "aabbccc", strict=True))
    found = relation_table(pairs, sat, affinity, families, permutations=99).set_index("quantity")
    above = np.triu_indices(7, 1)
    within = np.array([families[row.model_a] == families[row.model_b] for row in pairs.itertuples()])
    for name in found.index:
        values = pairs[name].to_numpy()
        assert found.loc[name, "sat_spearman"] == pytest.approx(spearmanr(values, sat.to_numpy()[above])[0])
        assert found.loc[name, "roc_auc"] == pytest.approx(roc_auc_score(within, values))
        square = np.full((7, 7), np.nan)
        square[above] = square.T[above] = values
        rest = fit_affinity(pd.DataFrame(square, names, names)).matrix.to_numpy()[above]
        assert found.loc[name, "affinity_spearman"] == pytest.approx(spearmanr(rest, affinity.to_numpy()[above])[0])
        assert found.loc[name, "roc_auc_rest"] == pytest.approx(roc_auc_score(within, rest))


def lay_out(folder, models, fooled=0.5, images=80):
    random = np.random.default_rng(0)
    labels = random.integers(CLASSES, size=images)
    names = [f"m{i}" for i in range(models)]
    results = results_in(folder)
    for part in ("similarity", "images", "clean", "tiles/c1-000"):
        (results / part).mkdir(parents=True)
    for name in ("sat", "affinity"):
        square = (
            random.normal(size=(models, models)) if name == "sat" or models > 3 else np.full((models, models), np.nan)
        )
        matrix = pd.DataFrame(square + square.T, index=names, columns=names)
        matrix.rename_axis("model").reset_index().to_csv(results / f"similarity/{name}.csv", index=False)
        vouch(results / f"similarity/{name}.csv")
    with hdf5.writing(results / "images/attack.h5") as file:
        file["label"] = labels
    vouch(results / "images/attack.h5")
    for name in names:
        with hdf5.writing(results / f"clean/{name}.h5") as file:
            file["attack_prediction"] = np.where(random.random(images) < 0.9, labels, 0)
        vouch(results / f"clean/{name}.h5")
    with hdf5.writing(results / "tiles/c1-000/c1-000.h5") as file:
        file["target"] = file["source"] = [*names, "retired"]
        shape = (models + 1, models + 1, images)
        wrong = (labels + random.integers(1, CLASSES, size=shape)) % CLASSES
        file["prediction"] = np.where(random.random(shape) < fooled, wrong, labels)
        file["noise_prediction"] = np.zeros((models + 1, images), int)
    vouch(results / "tiles/c1-000/c1-000.h5")
    return results, dict.fromkeys(names, "a")


@pytest.mark.parametrize(("models", "fooled"), [(6, 0.5), (3, 0.5), (2, 0.5), (4, 0.0)])
def test_the_analysis_of_a_study_also_of_small_pools_and_of_robust_models(tmp_path, models, fooled):
    results, families = lay_out(tmp_path, models, fooled)
    params = {"families": families, "confidence": 0.95, "seed": 0}
    assert analyse(tmp_path, "mistakes", params)[0] == 0
    pairs = pd.read_csv(results / "analysis/mistakes.csv")
    assert len(pairs) == models * (models - 1) // 2
    assert pairs["excess"].notna().all() == (fooled > 0)
    assert pairs["excess_image"].notna().all() == (fooled > 0 and models > 2), "two models have no others"
    assert pairs["both_by_images"].notna().all() == (models > 3)
    relation = pd.read_csv(results / "analysis/mistakes_relation.csv")
    assert relation["affinity_spearman"].notna().all() == (models > 4)
    text = (results / "figures/mistakes.svg").read_text()
    assert all(name in text for name in families) if fooled else "No adversarial image fools both" in text
