"""Figures at the sizes of papers: widths, texts that do not overlap, small files, titles that say the answer."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from sat.analyses.effects.figure import effects_figure
from sat.analyses.ensembles.figure import ensembles_figure
from sat.analyses.figures.drawing import affinity_map, cluster_map, dendrogram_figure, distances_figure
from sat.analyses.figures.pictures import tsne_components_figure, tsne_figure
from sat.analyses.groups.figure import groups_figure
from sat.report.page import relation, short, shorts
from sat.report.style import CLUSTERS, FAMILIES, PALE, WIDTHS, Width, paper, save
from sat.similarity.affinity import fit_affinity

WORDS = ("resnet", "vit", "convnext", "swin", "mixer", "deit", "nfnet", "pit", "xcit", "coat", "regnet", "dla")


class Pool:
    """A made-up pool of models in twelve families, whose matrix has blocks."""

    def __init__(self, n: int) -> None:
        random = np.random.default_rng(n)
        family = np.sort(random.integers(0, 12, n))
        self.names = [f"{WORDS[place]}_patch16_224_{number}.in21k_ft_in1k" for number, place in enumerate(family)]
        self.families = {name: WORDS[place] for name, place in zip(self.names, family, strict=True)}
        square = 1.5 + 1.2 * (family[:, None] == family) + random.normal(0, 0.2, (n, n))
        square = (square + square.T) / 2
        np.fill_diagonal(square, np.log(100))
        self.matrix = pd.DataFrame(square, self.names, self.names)
        self.clusters = pd.DataFrame({"model": self.names, "cluster": family % 10 + 1})
        angle = 2 * np.pi * family / 12
        x, y = (5 * function(angle) + random.normal(0, 0.6, n) for function in (np.cos, np.sin))
        self.picture = pd.DataFrame({"model": self.names, "x": x, "y": y})
        features = np.eye(12)[family] + random.normal(0, 0.2, (n, 12))
        self.features = pd.DataFrame(features / np.linalg.norm(features, axis=1)[:, None], self.names)
        a, b = np.triu_indices(n, 1)
        self.pairs = pd.DataFrame({"model_a": np.array(self.names)[a], "model_b": np.array(self.names)[b]})
        self.pairs = self.pairs.assign(sat=square[a, b], sat_low=square[a, b] - 0.1, sat_high=square[a, b] + 0.1)
        self.pairs = self.pairs.assign(noise_p_ab=random.random(len(a)) ** 9, noise_p_ba=random.random(len(a)) ** 9)
        effects = {"model": self.names, "family": list(self.families.values()), "effect": random.normal(0, 1, n)}
        for key in ("strength", "fragility"):
            value = random.normal(0, 1, n)
            effects |= {f"{key}{end}": value + step for end, step in ENDS.items()}
        self.effects = pd.DataFrame(effects)

    def figure(self, name: str) -> Figure:
        match name:
            case "clustermap":
                return cluster_map(self.matrix, self.families, None, self.pairs)
            case "affinitymap":
                return affinity_map(fit_affinity(self.matrix).matrix, self.families)
            case "dendrogram":
                return dendrogram_figure(self.matrix, self.families)
            case "distances":
                return distances_figure(self.features, self.clusters)
            case "tsne":
                return tsne_figure(self.picture, self.clusters, self.families)
            case "tsne_components":
                return tsne_components_figure(self.picture, {"family": self.families, "stem": self.families})
        pool = pd.DataFrame({"quantity": ["share_half"], "value": [0.4], "chance": [0.1]})
        return effects_figure(self.effects, pool)


ENDS = {"": 0.0, "_low": -0.2, "_high": 0.2}
DRAWN = ("clustermap", "affinitymap", "dendrogram", "distances", "tsne", "tsne_components", "effects")


@pytest.mark.parametrize("width", ["one", "two"])
@pytest.mark.parametrize("name", DRAWN)
def test_two_hundred_models_fit_a_page_with_few_texts_and_a_small_file(tmp_path: Path, name: str, width: Width) -> None:
    with paper(width):
        figure = Pool(200).figure(name)
    inches = figure.get_figheight()
    save(figure, path := tmp_path / "a.svg")
    root = ElementTree.parse(path).getroot()
    assert float(root.attrib["width"].removesuffix("pt")) == pytest.approx(72 * WIDTHS[width])
    assert float(root.attrib["height"].removesuffix("pt")) == pytest.approx(72 * inches) and inches <= 9
    kinds = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert kinds.count("text") <= 90 and path.stat().st_size < 600_000
    if name in ("clustermap", "affinitymap", "distances"):
        assert kinds.count("image") >= 1 and kinds.count("path") < 1000, "cells are one image, not a path each"


@pytest.mark.parametrize("kind", ["pdf", "png"])
def test_other_formats_have_the_same_size(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with paper("one"):
        save(Pool(12).figure("tsne"), path := tmp_path / "a", kind)
    assert not caplog.records, "saving says nothing"
    content = path.read_bytes()
    if kind == "pdf":
        box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+)", content)
        assert box and float(box[1]) == pytest.approx(72 * WIDTHS["one"]) and b"/CreationDate" not in content
    else:
        assert int.from_bytes(content[16:20]) == pytest.approx(300 * WIDTHS["one"], abs=1)


@pytest.mark.parametrize("n", [12, 69])
@pytest.mark.parametrize("width", ["one", "two"])
def test_no_text_of_the_picture_covers_another_or_leaves_the_page(n: int, width: Width) -> None:
    pool = Pool(n)
    with paper(width):
        figure = pool.figure("tsne")
    figure.canvas.draw()
    axes = figure.axes[0]
    legends = [found for part in figure.axes for found in part.get_children() if type(found).__name__ == "Legend"]
    texts = [
        *axes.texts,
        *figure.texts,
        *(text for found in legends for text in (*found.get_texts(), found.get_title())),
    ]
    boxes = {text.get_text(): text.get_window_extent() for text in texts}
    assert len(boxes) == len(texts) >= 14
    for (one, box), (other, against) in itertools.combinations(boxes.items(), 2):
        assert not box.overlaps(against), (one, other)
    for text, box in boxes.items():
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, text
    # Every marker is seen.
    points = axes.transData.transform(pool.picture[["x", "y"]].to_numpy())
    assert not any(text.get_window_extent().contains(*point) for text in axes.texts for point in points)
    if n == 12:
        assert {text.get_text() for text in axes.texts} == set(shorts(pool.names, 24))
    plt.close(figure)


@pytest.mark.parametrize("palette", [CLUSTERS, FAMILIES])
def test_palettes_are_told_apart_by_colour_blind_readers(palette: tuple[str, ...]) -> None:
    """Colours as Machado et al. (2009) simulate complete deuteranopia and protanopia; distance in CIELAB."""
    simulated = {
        "everybody": np.eye(3),
        "deuteranopia": [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.01182, 0.04294, 0.968881],
        ],
        "protanopia": [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
    }
    for eyes, matrix in simulated.items():
        for one, other in itertools.combinations(palette, 2):
            distance = np.linalg.norm(lab(np.array(matrix) @ linear(one)) - lab(np.array(matrix) @ linear(other)))
            # matplotlib's own ten colours come as near as 5 here.
            assert distance > 14, (eyes, one, other, distance)
    assert not set(CLUSTERS) & set(FAMILIES) and PALE not in (*CLUSTERS, *FAMILIES)


def linear(colour: str) -> np.ndarray:
    value = np.array(to_rgb(colour))
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    x = np.array(to_xyz) @ np.clip(rgb, 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(x > 216 / 24389, np.cbrt(x), (24389 / 27 * x + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def text_of(figure: Figure) -> str:
    found = " ".join(text.get_text() for text in figure.texts)
    plt.close(figure)
    return " ".join(found.split())


def ensembles(slope: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sets of models whose gain falls with their similarity by a known slope, and the correlation that scipy finds."""
    from scipy.stats import spearmanr

    random = np.random.default_rng(0)
    similar = random.normal(0, 1, 60)
    gain = 0.3 - slope * similar + random.normal(0, 0.1, 60)
    table = pd.DataFrame(
        {"size": 2, "mean_sat": similar, "mean_affinity": similar, "error_reduction": gain, "n_clusters": 1}
    )
    value, p = spearmanr(similar, gain)
    row = {"size": 2, "of": ["sat", "affinity"], "spearman": value, "p": p, "partial_spearman": value, "partial_p": p}
    return table, pd.DataFrame(row)


def test_a_title_claims_a_relation_where_there_is_one_and_none_where_chance_would_do() -> None:
    assert "Ensembles of less similar models gain more" in text_of(ensembles_figure(*ensembles(0.2)))
    assert "Ensembles of more similar models gain more" in text_of(ensembles_figure(*ensembles(-0.2)))
    nothing = text_of(ensembles_figure(*ensembles(0.0)))
    assert (
        re.search(r"Ensembles and affinity: no relation shown \(p = 0\.\d\d\)", nothing) and "gain more" not in nothing
    )
    # With SAT, accuracy alone makes a relation, so none is claimed.
    table, found = ensembles(0.2)
    assert "gain more" not in text_of(ensembles_figure(table, found[found["of"] == "sat"]))
    # The title follows what is left when the effects of single models are removed.
    table, found = ensembles(0.0)
    assert "less similar models gain more" in text_of(
        ensembles_figure(table, found.assign(partial_spearman=-0.5, partial_p=0.01))
    )


@pytest.mark.parametrize(("half", "p", "said"), [(0.8, 0.0004, "are more alike"), (0.02, 0.54, "no relation shown")])
def test_the_title_of_groups_says_whether_groups_matter(half: float, p: float, said: str) -> None:
    rows = [("group", "a", 3, 2.5, 0.01), ("group", "b", 3, 2.0, 0.03), ("group", "lonely", 1, np.nan, np.nan)]
    table = pd.DataFrame(rows, columns=["kind", "group", "n_models", "mean", "p"]).assign(column="family")
    table = table.assign(low=table["mean"] - 0.2, high=table["mean"] + 9)
    contrasts = pd.DataFrame({"column": "family", "first": ["a"], "second": ["b"], "contrast": [half], "note": [""]})
    contrasts = contrasts.assign(low=half - 0.3, high=half + 0.3, p_holm=p)
    overall = pd.DataFrame({"column": ["family"], "half_contrast": [half], "p": [p], "note": [""]})
    text = text_of(groups_figure(table, contrasts, overall))
    assert said in text and ("p < 0.001" if p < 0.001 else "p = 0.54") in text
    assert "Not drawn, fewer than two models with a SAT: lonely" in text


def test_words_for_a_correlation() -> None:
    assert relation(0.4, 0.54) == "no relation shown (\u03c1 = 0.40, p = 0.54)"
    assert relation(-0.4, 0.0002) == "falls with it (\u03c1 = -0.40, p < 0.001)"
    assert relation(0.4, 0.05) == "rises with it (\u03c1 = 0.40, p = 0.050)"
    assert "too few values" in relation(np.nan, np.nan)
    assert short("vit_small_patch16_224.augreg_in21k_ft_in1k", 20) == "vit_small_patc\u2026_in1k"
    assert short("vit", 3) == "vit"
    assert shorts(["one_long_name", "one_lang_name", "x"], 8) == ["one_lo\u2026me", "one_la\u2026me", "x"]


@pytest.mark.parametrize("width", ["one", "two"])
def test_titles_of_panels_keep_apart_and_on_the_page(width: Width) -> None:
    (table, found), sizes = ensembles(0.2), (2, 3, 4, 5)
    with paper(width):
        figure = ensembles_figure(*(pd.concat([one.assign(size=size) for size in sizes]) for one in (table, found)))
    figure.canvas.draw()
    titles = [
        part for axes in figure.axes for part in axes.get_children() if isinstance(part, Text) and part.get_text()
    ]
    boxes = [title.get_window_extent() for title in titles]
    plt.close(figure)
    assert len(boxes) == 2 * len(sizes)
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
