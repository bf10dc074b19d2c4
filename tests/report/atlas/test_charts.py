"""Interactive figures of report/atlas.html: what is declared, what is drawn, and what readers do with it."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import cdist, squareform

from atlases import made
from browser import Tab
from sat.report.atlas.charts import charts, used_tables
from sat.report.atlas.data import pairs
from sat.report.atlas.page import make_page
from sat.report.atlas.results import Results
from sat.results.files import tables as declared_tables
from sat.results.files import undeclared
from sat.units import declarations
from sat.units.chart import as_json

NAMES = [f"m{k}" for k in range(9)] + ["<b>x</b>", "$$y$$", "z" * 60]
FAMILIES = ["a", "b", "<i>c</i>"] * 4


def more(results: Results) -> dict[str, pd.DataFrame]:
    """Tables of further analyses."""
    random = np.random.default_rng(1)
    names, apart = results.models, results.tables["most_similar"].query("model_a != model_b")
    images = [10, 30, 90]
    curve = pd.DataFrame({"of": np.repeat(["sat", "affinity"], 3), "images": images * 2, "n": 50})
    curve = curve.assign(mean=random.uniform(0.3, 0.9, 6))
    k = pd.DataFrame({"of": np.repeat(["sat", "affinity"], 4), "k": [2, 3, 4, 5] * 2})
    for column in ("eigengap", "silhouette", "start_agreement", "best_starts"):
        k[column] = random.uniform(0, 1, 8)
    overall = {"column": ["family"], "half_contrast": 1.0, "low": 0.5, "high": 1.5, "p": 0.01, "p_adjusted": 0.01}
    overall |= {"n_models": 9, "n_values": 3, "half_contrast_equal": 1.0, "low_equal": 0.4, "high_equal": 1.6}
    return {
        "stability_curve": curve.assign(p05=curve["mean"] - 0.1, p95=curve["mean"] + 0.1),
        "choose_k": k.assign(largest_gap=k["k"] == 3),
        "groups_overall": pd.DataFrame(overall),
        "groups": pd.DataFrame(
            {"column": ["family", "family", "use"], "kind": "group", "group": ["a", "b", "c"], "mean": [1.0, 2.0, 3.0]}
        ).assign(low=[0.5, np.nan, 2.5], high=[1.5, np.nan, 3.5], p=[0.01, np.nan, 0.5]),
        "clusters_agreement": pd.DataFrame(
            {
                "first": ["sat", "sat", "affinity"],
                "second": ["affinity", "family", "family"],
                "adjusted_rand": [0.5, 0, 1],
            }
        ),
        "spectral_features": pd.DataFrame({"model": names[::-1]}).assign(
            **{f"feature_{n}": random.normal(size=len(names)) for n in (1, 2, 3)}
        ),
        "effects_pairs": apart[["model_a", "model_b", "sat"]].assign(affinity=random.normal(size=len(apart))),
    }


@pytest.fixture(scope="module")
def results() -> Results:
    plain = made(NAMES, FAMILIES)
    return replace(plain, tables={**plain.tables, **more(plain)}, figures={"dendrogram": b"<svg/>", "clustermap": b""})


def drawn(tab: Tab, name: str) -> None:
    """Wait until a chart is drawn as its controls ask."""
    tab.wait(
        f"+document.querySelector('[data-chart={name}] .plot').dataset.drawn === satAtlas.charts.of('{name}').turn"
    )


def show(tab: Tab, name: str) -> None:
    tab.run(f"document.querySelector('[data-chart={name}]').closest('details').open = true")
    drawn(tab, name)


def choose(tab: Tab, name: str, number: int, value: str) -> None:
    """Choose a value of one of a chart's controls, by its place."""
    script = "(() => {{ const one = document.querySelectorAll('[data-chart={}] select')[{}]; one.value = {};"
    tab.run(
        script.format(name, number, json.dumps(value)) + "one.dispatchEvent(new Event('change')); return one.value })()"
    )
    drawn(tab, name)


def source(tab: Tab, name: str, kind: str = "points") -> dict[str, list]:
    found = tab.run(f"satAtlas.charts.of('{name}').find('chart-{kind}').data")
    assert isinstance(found, dict)
    return found


def heat(tab: Tab, name: str, rows: int) -> np.ndarray:
    values = tab.run(
        f"[...satAtlas.charts.of('{name}').find('chart-cells').data.image[0]].map(v => Number.isNaN(v) ? null : v)"
    )
    return np.array([math.nan if value is None else value for value in values]).reshape(rows, -1)


def tips(tab: Tab, name: str) -> list[list[str]]:
    return tab.run(f"satAtlas.charts.of('{name}').made.tips.map(tip => typeof tip === 'function' ? tip() : tip)")


# --- what is declared


def test_every_chart_is_of_a_table_or_figure_of_its_analysis_and_names_columns_that_are_declared():
    known = {Path(path).stem: table for path, table in declared_tables().items()}
    for unit in declarations("analyses").values():
        assert set(unit.charts) <= {Path(path).stem for path in unit.outputs}
        for name, chart in unit.charts.items():
            for view in as_json(chart):
                if view["kind"] in ("tree", "pairs") or "measure" in view:
                    continue
                columns = [view[key]["name"] for key in ("x", "y", "value") if key in view]
                columns += [
                    one[key] for one in view.get("values", ()) for key in ("name", "low", "high", "p") if key in one
                ]
                columns += [*view.get("label", ()), *view.get("name", ()), *view.get("by", ()), *view.get("where", ())]
                columns += [view[key] for key in ("row", "column", "group") if key in view]
                assert undeclared(known[view.get("table", name)], columns) == [], name


def test_every_table_and_figure_that_our_analyses_show_has_a_chart():
    for unit in declarations("analyses").values():
        assert {Path(path).stem for path, place in unit.outputs.items() if place} <= set(unit.charts)


def test_a_view_without_its_numbers_is_left_out(results: Results):
    keys = [one["key"] for one in pairs(results)]
    found = charts(results, keys)
    assert [view["kind"] for view in found["effects"]] == ["points"], "the table has no single effects"
    assert "ablation" not in found and "reference" not in found
    assert used_tables(found) >= {"tsne", "groups", "stability_curve", "spectral_features"}
    assert "effects" not in charts(replace(results, tables={"sat": results.tables["sat"]}), ["sat"])


def test_an_analysis_of_the_users_own_has_its_figure_and_its_table(results: Results):
    own = {"analysis/mine.csv": ["Own", "my table"], "figures/mine.svg": ["Own", "my table"]}
    table = pd.DataFrame({"model": NAMES, "value": 1.0})
    text = make_page(
        replace(
            results,
            shown={**results.shown, **own},
            tables={**results.tables, "mine": table},
            figures={"mine": b"<svg/>"},
        )
    )
    entry = text[text.index("<summary>my table") :]
    entry = entry[: entry.index("</details>")]
    assert "data:image/svg+xml;base64," in entry and 'data-table="mine"' in entry and "data-chart" not in entry


# --- what is drawn


@pytest.mark.slow
def test_every_chart_is_drawn_has_a_name_and_its_table(tab: Tab, results: Results):
    names = tab.run("[...document.querySelectorAll('[data-chart]')].map(one => one.dataset.chart)")
    assert {"models", "most_similar", "effects", "clustermap", "dendrogram", "groups", "stability_curve"} <= set(names)
    for name in names:
        show(tab, name)
        label = tab.run(f"document.querySelector('[data-chart={name}] [role=img]').ariaLabel")
        assert re.search(r"chart with [1-9]|heat map of [1-9]", label), (name, label)
        if "table below" in label:
            assert tab.run(
                f"document.querySelector('[data-chart={name}]').parentElement.querySelector('tbody tr') !== null"
            )
    assert tab.run("[...document.querySelectorAll('.chart select')].every(one => one.labels.length)")
    tab.screenshot("atlas-charts")


@pytest.mark.slow
def test_points_rows_and_lines_have_the_numbers_of_the_tables(tab: Tab, results: Results):
    for name in ("most_similar", "effects", "groups", "stability_curve", "choose_k"):
        show(tab, name)
    frame = results.tables["most_similar"].query("model_a != model_b")
    assert source(tab, "most_similar")["x"] == pytest.approx(frame["sat"].head(60).tolist(), rel=1e-5)
    ends = source(tab, "most_similar", "ends")
    assert ends["x0"] == pytest.approx(frame["sat_low"].head(60).tolist(), rel=1e-5)
    assert ends["x1"] == pytest.approx(frame["sat_high"].head(60).tolist(), rel=1e-5)
    assert "The first 60 of 66 rows" in tab.text("[data-chart=most_similar]")
    first = frame.iloc[0]
    interval = f"({first['sat_low']:.2f} to {first['sat_high']:.2f})"
    assert tips(tab, "most_similar")[0] == [
        f"{first['model_a']} · {first['model_b']}",
        f"SAT: {first['sat']:.2f} {interval}",
    ]
    effects = results.tables["effects"]
    assert source(tab, "effects")["x"] == pytest.approx(effects["fragility"].tolist(), rel=1e-5)
    assert source(tab, "effects")["y"] == pytest.approx(effects["strength"].tolist(), rel=1e-5)
    assert len(source(tab, "effects", "ends")["x0"]) == 24
    # Filled where p is at most 0.05; a p that is not known is not small.
    groups = source(tab, "groups")
    assert groups["x"] == [1, 2] and [fill == "#ffffff" for fill in groups["fill"]] == [False, True]
    assert len(source(tab, "groups", "ends")["x0"]) == 1
    curve = results.tables["stability_curve"]
    lines, bands = source(tab, "stability_curve", "lines"), source(tab, "stability_curve", "bands")
    for place, of in enumerate(("sat", "affinity")):
        part = curve[curve["of"] == of]
        assert lines["xs"][place] == [10, 30, 90]
        assert lines["ys"][place] == pytest.approx(part["mean"].tolist(), rel=1e-5)
        assert bands["ys"][place] == pytest.approx([*part["p05"], *part["p95"][::-1]], rel=1e-5)
    k = results.tables["choose_k"].query("of == 'affinity'")
    choose(tab, "choose_k", 0, "affinity")
    assert source(tab, "choose_k", "lines")["ys"][0] == pytest.approx(k["silhouette"].tolist(), rel=1e-5)


@pytest.mark.slow
def test_heat_maps_pairs_and_the_tree_have_the_numbers_of_the_matrix(tab: Tab, results: Results):
    for name in ("clustermap", "clusters_agreement", "effects_pairs", "dendrogram"):
        show(tab, name)
    sat = results.tables["sat"].to_numpy(float)
    order = tab.run("satAtlas.charts.of('clustermap').made.models")
    apart = ~np.eye(12, dtype=bool)
    assert np.allclose(heat(tab, "clustermap", 12)[apart], sat[np.ix_(order, order)][apart], atol=1e-5)
    assert heat(tab, "clusters_agreement", 3)[apart[:3, :3]].tolist() == [0.5, 0, 0.5, 1, 0, 1]
    upper = np.triu_indices(12, 1)
    assert source(tab, "effects_pairs")["x"] == pytest.approx(sat[upper].tolist(), rel=1e-4)
    affinity = results.tables["affinity"].to_numpy(float)
    assert source(tab, "effects_pairs")["y"] == pytest.approx(affinity[upper].tolist(), rel=1e-4)
    features = results.tables["spectral_features"].set_index("model").loc[NAMES]
    tab.choose("#measure", "distance")
    rows = tab.run("satAtlas.rows()")
    shown = tab.run("[...satAtlas.find('matrix-cells').data.image[0]].map(v => Number.isNaN(v) ? 0 : v)")
    wanted = cdist(features.to_numpy(), features.to_numpy())[np.ix_(rows, rows)]
    assert np.allclose(np.reshape(shown, (12, 12)), wanted, atol=1e-4)
    # Heights of the joins, by another call than ours.
    distance = math.log(100) - (sat + sat.T) / 2
    np.fill_diagonal(distance, 0)
    heights = linkage(squareform(distance, checks=False), "average")[:, 2]
    joins = source(tab, "dendrogram", "lines")["xs"]
    # The axis is SAT, which the captions speak of; names stand at 100 % transfer.
    assert [min(xs) for xs in joins] == pytest.approx((math.log(100) - heights).tolist(), rel=1e-4)
    assert tab.run("(range => range.start > range.end)(satAtlas.charts.of('dendrogram').find('chart').x_range)")
    palettes = [tab.run(f"satAtlas.find('matrix-colours').palette.at({end})") for end in (0, -1)]
    tab.choose("#measure", "sat")
    # Light means near.
    assert palettes == [tab.run(f"satAtlas.find('matrix-colours').palette.at({end})") for end in (-1, 0)]


# --- what readers do


def centre(tab: Tab, chart: str, place: int) -> tuple[float, float]:
    """Where a point of a chart is in the window."""
    tab.run(f"document.querySelector('[data-chart={chart}] .plot').scrollIntoView({{block: 'center'}})")
    return tuple(
        tab.run(
            f"(() => {{ const chart = satAtlas.charts.of('{chart}'), figure = chart.find('chart'), {{x, y}} = "
            f"chart.find('chart-points').data, view = [...Object.values(Bokeh.index.roots ?? Bokeh.index)].flat()"
            f".find(one => one.model === figure), frame = view.frame, box = view.el.getBoundingClientRect();"
            f"return [box.left + frame.x_scale.compute(x[{place}]), box.top + frame.y_scale.compute(y[{place}])]; }})()"
        )
    )


@pytest.mark.slow
def test_pointing_tells_and_a_click_marks_the_model_everywhere(tab: Tab, results: Results):
    show(tab, "effects")
    x, y = centre(tab, "effects", 10)
    tab.move(x, y)
    tab.wait("!document.getElementById('tip').hidden")
    said = tab.run("document.getElementById('tip').textContent").split("\n")
    row = results.tables["effects"].iloc[10]
    assert said[0] == "$$y$$" and said[1].startswith(f"fragility, log-odds: {row['fragility']:.2f} (")
    assert said[3] == f"family: {row['family']}"
    tab.click(x, y)
    tab.wait("document.getElementById('marked').textContent === '1 of 12 models marked'")
    assert tab.run("satAtlas.find('map-points').selected.indices") == [10]
    assert tab.run("satAtlas.find('matrix-marks').data.left.length") == 2
    assert tab.text("#detail h3") == "$$y$$"
    tab.move(4, 4)
    tab.wait("document.getElementById('tip').hidden")


@pytest.mark.slow
def test_what_is_marked_elsewhere_is_marked_in_every_chart(tab: Tab, results: Results):
    for name in ("effects", "most_similar", "clustermap"):
        show(tab, name)
    tab.run("document.getElementById('search').focus()")
    tab.type("<b>")
    assert tab.run("satAtlas.charts.of('effects').find('chart-points').selected.indices") == [9]
    frame = results.tables["most_similar"].query("model_a != model_b").head(60).reset_index(drop=True)
    mine = frame.index[(frame["model_a"] == NAMES[9]) | (frame["model_b"] == NAMES[9])].tolist()
    assert tab.run("satAtlas.charts.of('most_similar').find('chart-points').selected.indices") == mine != []
    assert tab.run("satAtlas.charts.of('clustermap').find('chart-marks').data.left.length") == 2
    tab.run("document.getElementById('clear').click()")
    assert tab.run("satAtlas.charts.of('effects').find('chart-points').selected.indices") == []
    # A name in a table marks its model, with keys too.
    tab.run("document.querySelector('[data-table=effects] tbody button').focus()")
    tab.press("Enter", 13)
    tab.wait("document.getElementById('marked').textContent === '1 of 12 models marked'")
    assert tab.run("satAtlas.charts.of('effects').find('chart-points').selected.indices") == [0]
    assert tab.text("#detail h3") == NAMES[0]


@pytest.mark.slow
def test_a_chart_follows_the_order_and_the_filter_of_its_table(tab: Tab, results: Results):
    show(tab, "models")
    table = results.tables["models"]
    assert source(tab, "models")["x"][:12] == pytest.approx(table["accuracy"].tolist(), rel=1e-5)
    head = list(table).index("accuracy")
    tab.run(f"document.querySelectorAll('[data-table=models] th button')[{head}].click()")
    drawn(tab, "models")
    assert source(tab, "models")["x"][:12] == pytest.approx(sorted(table["accuracy"], reverse=True), rel=1e-5)
    labels = tab.run("[...satAtlas.charts.of('models').find('chart').left[0].major_label_overrides.values()]")
    best = table.loc[table["accuracy"].idxmax(), "model"]
    assert labels[0].replace("\u200b", "")[:30] == best[:30]
    tab.run("document.querySelector('[data-table=models] input').focus()")
    tab.type("<b>")
    drawn(tab, "models")
    assert len(source(tab, "models")["x"]) == 3


@pytest.mark.slow
def test_every_control_of_a_chart_changes_what_it_draws(tab: Tab, results: Results):
    show(tab, "groups")
    choose(tab, "groups", 0, "use")
    assert source(tab, "groups")["x"] == [3]
    show(tab, "effects")
    by_family = source(tab, "effects")["colour"]
    assert (
        len(set(by_family)) == 3
        and tab.run("document.querySelectorAll('[data-chart=effects] .legend svg').length") == 3
    )
    choose(tab, "effects", 0, "")
    assert len(set(source(tab, "effects")["colour"])) == 1
    choose(tab, "effects", 0, "accuracy")
    colours, accuracy = source(tab, "effects")["colour"], results.tables["models"]["accuracy"].to_numpy()
    palette = tab.run("JSON.parse(document.getElementById('data').textContent).palettes.viridis")
    assert colours[accuracy.argmax()] == palette[-1] and colours[accuracy.argmin()] == palette[0]
    show(tab, "effects_pairs")
    choose(tab, "effects_pairs", 1, "n_both_correct")
    counts = results.tables["most_similar"].query("model_a != model_b")["n_both_correct"]
    assert sorted(source(tab, "effects_pairs")["x"]) == sorted(counts)
    choose(tab, "effects_pairs", 0, "1")
    assert np.nanmax(heat(tab, "effects_pairs", 12)) == pytest.approx(np.nanmax(results.tables["affinity"]), abs=1e-5)
    choose(tab, "effects_pairs", 0, "0")
    assert len(source(tab, "effects_pairs")["x"]) == 66


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_names_on_the_map_cover_neither_each_other_nor_a_point(tab: Tab, width: int):
    tab.resize(width, 844)
    tab.wait(f"satAtlas.find('map').outer_width <= {width}")
    script = (
        "(() => {{ const figure = satAtlas.find('map'), data = satAtlas.find('{}').data, pen = "
        "document.createElement('canvas').getContext('2d'); pen.font = '11px Helvetica, Arial, sans-serif';"
        "const at = (range, length, value) => length * (value - range.start) / (range.end - range.start);"
        "return data.x.map((x, k) => [at(figure.x_range, figure.inner_width, x), figure.inner_height - "
        "at(figure.y_range, figure.inner_height, data.y[k]), data.dx?.[k] ?? 0, data.dy?.[k] ?? 0, "
        "pen.measureText(data.name[k]).width]); }})()"
    )
    # Names are placed a moment after the window has its size.
    tab.wait("satAtlas.find('map-names').data.x.length > 3")
    tab.run("new Promise(done => setTimeout(done, 400))")
    texts = [(x + dx, y + dy - 9, x + dx + w, y + dy + 2) for x, y, dx, dy, w in tab.run(script.format("map-names"))]
    dots = [(x - 5, y - 5, x + 5, y + 5) for x, y, *_ in tab.run(script.format("map-points"))]

    def apart(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
        return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]

    assert 3 < len(texts) <= 12 and len(dots) == 12
    assert all(apart(one, other) for k, one in enumerate(texts) for other in texts[:k])
    assert all(apart(text, dot) for text in texts for dot in dots)
    tab.resize(1280, 900)


@pytest.mark.slow
def test_pointing_at_the_map_names_the_model(tab: Tab):
    tab.run("document.getElementById('map-plot').scrollIntoView({block: 'center'})")
    x, y = tab.run(
        "(() => { const view = [...Object.values(Bokeh.index.roots ?? Bokeh.index)].flat().find(one => one.model.name "
        "=== 'map'), {x, y} = satAtlas.find('map-points').data, box = view.el.getBoundingClientRect(); return "
        "[box.left + view.frame.x_scale.compute(x[9]), box.top + view.frame.y_scale.compute(y[9])]; })()"
    )
    tab.move(x, y)
    tab.wait("!document.getElementById('tip').hidden")
    assert tab.run("document.getElementById('tip').textContent").split("\n") == ["<b>x</b>", "family: a"]
