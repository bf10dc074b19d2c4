import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection

from conftest import ROOT
from sat.analyses.figures.drawing import (
    affinity_map,
    cluster_map,
    dendrogram_figure,
    distances_figure,
)
from sat.analyses.figures.pictures import tsne_components_figure, tsne_figure
from sat.analyses.stability.figure import stability_figure
from sat.report.labels import name_points
from sat.report.style import save
from sat.similarity.affinity import fit_affinity


def study(n):
    names = [f"model_{i}" for i in range(n)]
    random = np.random.default_rng(0)
    square = random.normal(2, 0.5, (n, n))
    matrix = pd.DataFrame((square + square.T) / 2, index=names, columns=names)
    families = {name: f"f{i % 3}" for i, name in enumerate(names)}
    models = pd.DataFrame({"low_whitebox": False}, index=names)
    pairs = pd.DataFrame(
        [(a, b, matrix.loc[a, b]) for i, a in enumerate(names) for b in names[i + 1 :]],
        columns=["model_a", "model_b", "sat"],
    )
    pairs = pairs.assign(sat_low=pairs["sat"] - 0.25, sat_high=pairs["sat"] + 0.25, noise_p_ab=0.0, noise_p_ba=0.0)
    pairs.loc[pairs.index[-1], "sat_high"] += 0.5
    return matrix, families, models, pairs


def text_of(figure, path):
    save(figure, path)
    return "\n".join(element.text or "" for element in ElementTree.parse(path).iter() if element.tag.endswith("text"))


def said(figure, path):
    """The text without line breaks, since titles are broken to the width of the page."""
    return " ".join(text_of(figure, path).split())


@pytest.mark.parametrize("n", [2, 12, 60])
def test_cluster_map_names_every_model_and_how_sure_it_is(tmp_path, n):
    matrix, families, models, pairs = study(n)
    text = said(cluster_map(matrix, families, models, pairs), tmp_path / "a.svg")
    for name in matrix.index:
        assert text.count(name) >= 2
    assert f"Half-widths of the 95 % intervals: {'0.50' if n == 2 else '0.25'} to 0.50" in text
    assert "f0" in text


def test_cluster_map_marks_what_is_not_to_be_trusted(tmp_path):
    matrix, families, models, pairs = study(6)
    models.loc["model_2", "low_whitebox"] = True
    # Each of two directions passes at 0.025 by itself, and neither does when both are counted.
    pairs.loc[0:1, ["noise_p_ab", "noise_p_ba"]] = 0.02, 1e-9
    matrix.loc["model_4", "model_5"] = matrix.loc["model_5", "model_4"] = np.nan
    figure = cluster_map(matrix, families, models, pairs)
    heat = next(axes for axes in figure.axes if len(axes.get_yticks()) == 5)
    (corners,) = [found for found in heat.collections if isinstance(found, PolyCollection)]
    row, column = (
        [label.get_text() for label in labels].index(name)
        for labels, name in ((heat.get_yticklabels(), "model_0"), (heat.get_xticklabels(), "model_1"))
    )
    # A triangle lies in the upper right quarter of its cell; the y axis runs downward.
    boxes = [path.get_extents() for path in corners.get_paths()]
    marked = {(round(box.x1 - 0.5), round(box.y0 + 0.5)) for box in boxes}
    assert (column, row) in marked and (row, column) not in marked, "one direction of the pair"
    text = said(figure, tmp_path / "a.svg")
    assert "model_2 *" in text and "low white-box success" in text
    assert "\u25e5 not above random noise from row to column: 2 of 30 directions" in text
    assert "left out, no image in common: model_4" in text


def test_the_same_numbers_give_the_same_bytes(tmp_path):
    for name in ("a.svg", "b.svg"):
        save(cluster_map(*study(5)), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_tsne_figure(tmp_path):
    _, families, _, _ = study(5)
    clusters = pd.DataFrame({"model": list(families), "cluster": [1, 1, 2, 2, 3]})
    picture = pd.DataFrame({"model": list(families), "x": np.arange(5.0), "y": np.arange(5.0)})
    text = text_of(tsne_figure(picture, clusters, families), tmp_path / "a.svg")
    assert all(name in text for name in families)
    empty = text_of(tsne_figure(picture.iloc[:0], clusters, families), tmp_path / "b.svg")
    assert "at least 4" in empty


def test_two_models_without_a_common_image_are_said_to_be_so(tmp_path):
    matrix, families, models, pairs = study(2)
    matrix.iloc[0, 1] = matrix.iloc[1, 0] = np.nan
    assert "No two models are left" in text_of(cluster_map(matrix, families, models, pairs), tmp_path / "a.svg")


@pytest.mark.parametrize("n", [2, 12, 60])
def test_dendrogram_names_every_model_once(tmp_path, n):
    matrix, families, models, _ = study(n)
    models.loc["model_1", "low_whitebox"] = True
    text = text_of(dendrogram_figure(matrix, families, models), tmp_path / "a.svg").split("\n")
    assert set(text) >= {f"model_{i}" for i in range(n) if i != 1} | {"model_1 *", "f0"}
    assert any("low white-box success" in line for line in text)
    assert text_of(dendrogram_figure(matrix, families), tmp_path / "b.svg").count("*") == 0
    assert "No two models" in text_of(dendrogram_figure(matrix.iloc[:1, :1], families), tmp_path / "c.svg")


def test_distances_are_sorted_by_cluster(tmp_path):
    features = pd.DataFrame([[1.0, 0], [0, 1], [1, 0], [0, 1], [1, 0]], index=list("abcde"))
    clusters = pd.DataFrame({"model": list("abcde"), "cluster": [1, 2, 1, 2, 1]})
    figure = distances_figure(features, clusters)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == list("acebd")
    shown = axes.images[0].get_array()
    assert np.allclose(shown[:3, :3], 0) and np.allclose(shown[3:, :3], np.sqrt(2))
    assert "cluster" in text_of(figure, tmp_path / "a.svg")
    alone = distances_figure(features.iloc[:1], clusters.iloc[:1])
    assert "no distance" in text_of(alone, tmp_path / "b.svg")


def test_stability_figure_says_how_many_images_are_enough(tmp_path):
    curve = pd.DataFrame({"of": "sat", "images": [10, 20, 40], "n": 50, "mean": [0.5, 0.8, 0.97]})
    curve = pd.concat([curve, curve.assign(of="affinity", mean=curve["mean"] - 0.2)])
    curve = curve.assign(p05=curve["mean"] - 0.01, p95=curve["mean"] + 0.01)
    text = said(stability_figure(curve, 0.95, {"sat": 40, "affinity": None}), tmp_path / "a.svg")
    assert "SAT: 40 images are enough for a correlation of 0.95 in 95 % of the draws" in text
    assert "affinity: 0.95 is not reached in 95 % of the draws with 40 images per sample" in text
    assert "half of all (mean correlation 0.77)" in text
    assert text.startswith("10 20 images in each"), "round sizes are named"
    alone = said(stability_figure(curve[curve["of"] == "sat"], 0.99, {"sat": None}), tmp_path / "b.svg")
    assert (
        "SAT: 0.99 is not reached in 95 % of the draws with 40 images per sample" in alone and "affinity" not in alone
    )
    assert "No rank correlation" in text_of(stability_figure(curve.iloc[:0], 0.95, {}), tmp_path / "c.svg")


def test_a_given_matrix_has_no_intervals_and_says_so(tmp_path):
    matrix, families, _, _ = study(6)
    text = said(cluster_map(matrix, families), tmp_path / "a.svg")
    assert "no intervals available" in text and "Half-width" not in text


@pytest.mark.parametrize("n", [4, 12, 60])
def test_affinity_map_is_centred_and_says_what_it_cannot_tell(tmp_path, n):
    matrix, families, _, pairs = study(n)
    affinity = fit_affinity(matrix).matrix
    pairs = pairs.assign(affinity_low=0.0, affinity_high=0.5)
    figure = affinity_map(affinity, families, pairs)
    colours = next(axes for axes in figure.axes if len(axes.get_yticks()) == n).images[0]
    assert colours.norm.vmin == -colours.norm.vmax == -np.nanmax(np.abs(affinity.to_numpy()))
    text = said(figure, tmp_path / "a.svg")
    assert all(text.count(name) >= 2 for name in affinity.index)
    assert "0 does not mean unrelated" in text and "Half-widths of the 95 % intervals: 0.25 to 0.25" in text
    assert "Half-width" not in text_of(
        affinity_map(affinity, families, pairs.assign(affinity_low=np.nan)), tmp_path / "b.svg"
    )


def test_affinity_map_of_too_few_models_and_of_a_missing_pair(tmp_path):
    matrix, families, _, _ = study(6)
    affinity = fit_affinity(matrix).matrix
    affinity.iloc[0, 1] = affinity.iloc[1, 0] = np.nan
    assert "left out, no image in common: model_0" in text_of(affinity_map(affinity, families), tmp_path / "a.svg")
    three = fit_affinity(matrix.iloc[:3, :3]).matrix
    assert "needs 4 models" in text_of(affinity_map(three, families), tmp_path / "b.svg")


@pytest.mark.parametrize("n", [1, 2, 12, 69])
def test_names_cover_no_other_name_and_no_point(n):
    random = np.random.default_rng(n)
    names = [f"some_model_{i}" + "x" * (i % 9) for i in range(n)]
    figure, axes = plt.subplots(figsize=(9, 7))
    x, y = random.normal(size=(2, n))
    axes.plot(x, y, "o", markersize=4)
    axes.margins(0.15)
    name_points(axes, names, x, y, np.column_stack([x - 0.1, y, x + 0.1, y]))
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in axes.texts]
    assert sorted(label.get_text() for label in axes.texts) == sorted(names)
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    points = axes.transData.transform(np.column_stack([x, y]))
    assert not any(box.contains(*point) for box in boxes for point in points)
    frame = axes.get_window_extent()
    assert all(frame.contains(*corner) for box in boxes for corner in box.get_points())
    plt.close(figure)


def test_a_name_stands_clear_of_its_neighbours_interval():
    """The second point's interval runs through the first choice of place for the name of the first."""
    figure, axes = plt.subplots(figsize=(6, 4))
    axes.set(xlim=(0, 10), ylim=(0, 10))
    line = np.array([[4.0, 5.2, 8.0, 5.2]])
    for obstacles, crossed in (((), True), (line, False)):
        name_points(axes, ["convnext"], [4.0], [5.0], obstacles)
        box = axes.texts[-1].get_window_extent().transformed(axes.transData.inverted())
        assert (box.y0 < 5.2 < box.y1 and box.x1 > 4.0) == crossed
    plt.close(figure)


def test_tsne_once_for_each_component(tmp_path):
    names = [f"model_{i}" for i in range(24)]
    picture = pd.DataFrame({"model": names, "x": np.arange(24.0), "y": np.arange(24.0) % 5})
    columns = {
        "stem_layer": {name: f"{i % 3}s2" for i, name in enumerate(names)},
        "many": {name: f"v{i:02d}" for i, name in enumerate(names)},
        "seldom": {"model_0": "yes"},
    }
    text = text_of(tsne_components_figure(picture, columns), tmp_path / "a.svg")
    assert all(word in text for word in ("stem layer", "0s2", "1s2", "2s2", "many", "others", "seldom", "unknown"))
    assert sum(f"v{i:02d}" in text for i in range(24)) == 8 and "16 others" in text
    assert "t-SNE needs" in text_of(tsne_components_figure(picture.iloc[:0], columns), tmp_path / "b.svg")
    assert "No component" in text_of(tsne_components_figure(picture, {}), tmp_path / "c.svg")


def test_a_matplotlibrc_in_the_folder_changes_no_figure_and_a_dollar_is_text(tmp_path):
    # TeX may read any file, and a received folder may hold such settings.
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfont.size: 40\n")
    code = """
import matplotlib, pathlib
assert matplotlib.rcParams["text.usetex"], "the file is read"
from sat.report.page import nothing_to_draw
from sat.report.style import save
save(nothing_to_draw("a $\\\\frac$ </text><script>"), pathlib.Path("figure.svg"))
"""
    outer = {**os.environ, "PYTHONPATH": f"{ROOT}/workflow"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=outer, check=True)
    (text,) = ElementTree.parse(tmp_path / "figure.svg").iter("{http://www.w3.org/2000/svg}text")
    assert text.text == "a $\\frac$ </text><script>" and "6.5px" in text.attrib["style"]
