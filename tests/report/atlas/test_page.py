"""The page report/atlas.html in a real browser: every control, and numbers that are those of the tables."""

from __future__ import annotations

import base64
import io
import json
import math
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atlases import made, with_landmarks
from browser import Tab
from conftest import READY
from sat.report.atlas.page import make_page
from sat.report.atlas.results import Results

pytestmark = pytest.mark.slow
RUN = "document.title='stolen'"
# Names of a study that starts from a matrix may hold anything that prints; families and groups may hold more.
NAMES = [
    f"</script><script>{RUN}</script>",
    f'<img src=x onerror="{RUN}">',
    "$$\\frac{a}{b}$$",
    "\\(x\\) \\[y\\]",
    "&amp; \" ' `",
    "{{ 7 * 7 }} {% raw %}",
    "__proto__",
    "constructor",
    "ünï cödé 模型",
    "a=b&c=d#e",
    "x" * 100,
    "12",
]
FAMILIES = [f"<svg onload={RUN}>", "-->", "B & C"] * 4


@pytest.fixture(scope="module")
def results() -> Results:
    return made(NAMES, FAMILIES)


def ask(tab: Tab, one: str, other: str = "") -> str:
    """Name one or two models in the form, and return what the panel says."""
    for place, name in (("#pair-a", one), ("#pair-b", other)):
        tab.run(f"document.querySelector('{place}').value = ''; document.querySelector('{place}').focus()")
        if name:
            tab.type(name)
    tab.press("Enter", 13)
    return tab.text("#detail")


def cells(tab: Tab, label: str) -> dict[str, list[str]]:
    """A table of the panel: cells of each row by its head."""
    script = (
        f"[...document.querySelectorAll('#detail table[aria-label={json.dumps(label)}] tbody tr')]"
        ".map(row => [...row.children].map(cell => cell.textContent))"
    )
    return {head: rest for head, *rest in tab.run(script)}


def image(tab: Tab) -> np.ndarray:
    """Numbers of the heat map, rows and columns in the order that is shown."""
    size = tab.run("satAtlas.rows().length")
    values = tab.run("[...satAtlas.find('matrix-cells').data.image[0]].map(v => Number.isNaN(v) ? null : v)")
    return np.array([math.nan if value is None else value for value in values]).reshape(size, size)


def matrix_of(results: Results, rows: list[int], key: str = "sat") -> np.ndarray:
    found = results.tables[key].to_numpy(float).copy()
    np.fill_diagonal(found, np.nan)
    return found[np.ix_(rows, rows)]


def centre(tab: Tab, row: int, column: int) -> tuple[float, float]:
    """Where a cell of the matrix is in the window."""
    tab.run("document.getElementById('matrix-plot').scrollIntoView({block: 'center'})")
    x, y, width, height = tab.run(
        "(() => { const view = [...Object.values(Bokeh.index.roots ?? Bokeh.index)].flat()"
        ".find(one => one.model.name === 'matrix'), frame = view.frame.bbox, place = view.el.getBoundingClientRect();"
        "return [place.left + frame.left, place.top + frame.top, frame.width, frame.height]; })()"
    )
    size = tab.run("satAtlas.rows().length")
    return x + (column + 0.5) * width / size, y + (row + 0.5) * height / size


def test_the_matrix_shows_every_measure_as_the_tables_have_it(tab: Tab, results: Results):
    rows = tab.run("satAtlas.rows()")
    assert sorted(rows) == list(range(12))
    assert np.allclose(image(tab), matrix_of(results, rows), equal_nan=True, atol=1e-6)
    tab.choose("#measure", "affinity")
    assert np.allclose(image(tab), matrix_of(results, rows, "affinity"), equal_nan=True, atol=1e-6)
    # The scale of affinity has 0 in its middle, and rates have one of logarithms.
    low, high = tab.run("(({low, high}) => [low, high])(satAtlas.find('matrix-colours'))")
    assert -low == high == pytest.approx(results.tables["affinity"].abs().max(axis=None), abs=1e-6)
    tab.choose("#measure", "directed_rate")
    pairs = results.tables["pairs"].set_index(["source", "target"])
    wanted = np.array([[pairs.loc[(NAMES[i], NAMES[j]), "rate"] if i != j else np.nan for j in rows] for i in rows])
    wanted[wanted == 0] = wanted[wanted > 0].min()
    assert np.allclose(image(tab), np.log10(wanted), equal_nan=True, atol=1e-6)
    assert "Rows are sources" in tab.text("#about-measure") and "logarithmic" in tab.text("#about-measure")
    assert tab.run("[-3, -2, -0.5].map(satAtlas.tick)") == ["0.1 %", "1 %", "32 %"]
    axes = tab.run("(plot => [plot.left[0], plot.above[0]].map(axis => axis.axis_label))(satAtlas.find('matrix'))")
    assert [words.split(":")[0] for words in axes] == ["source", "target"]
    similar = results.tables["most_similar"].set_index(["model_a", "model_b"])
    for key, of in (
        ("width", lambda row: row["sat_high"] - row["sat_low"]),
        ("above_noise", lambda row: float(row["above_noise"])),
        ("n_both_correct", lambda row: row["n_both_correct"]),
    ):
        tab.choose("#measure", key)
        found = image(tab)
        for (one, other), row in similar.iterrows():
            if one != other:
                i, j = rows.index(NAMES.index(one)), rows.index(NAMES.index(other))
                assert found[i, j] == found[j, i] == pytest.approx(of(row), abs=1e-5)
    tab.choose("#measure", "mistakes:same_share")
    assert np.nanmax(image(tab)) == pytest.approx(results.tables["mistakes"]["same_share"].max(), abs=1e-6)


def test_every_order_is_that_of_its_column(tab: Tab, results: Results):
    models = results.tables["models"].set_index("model")
    for key in tab.run("[...document.querySelectorAll('#order option')].map(option => option.value)"):
        tab.choose("#order", key)
        rows = tab.run("satAtlas.rows()")
        assert sorted(rows) == list(range(12)), key
        assert np.allclose(image(tab), matrix_of(results, rows), equal_nan=True, atol=1e-6)
        if key == "name":
            assert [NAMES[row] for row in rows] == sorted(NAMES)
        elif key == "accuracy":
            assert [NAMES[row] for row in rows] == list(models.sort_values("accuracy", ascending=False).index)
        elif key == "family":
            families = [FAMILIES[row] for row in rows]
            assert all(
                families.count(one) == 4 and set(families[k : k + 4]) == {one}
                for k, one in enumerate(families)
                if k % 4 == 0
            )
        labels = tab.run("[...satAtlas.find('matrix').left[0].major_label_overrides.values()]")
        assert [label.replace("\u200b", "")[:20] for label in labels] == [NAMES[row][:20] for row in rows]
        assert not any("$$" in label or "\\(" in label or "\\[" in label for label in labels)


def test_colours_change_with_the_palette(tab: Tab):
    before = tab.run("satAtlas.find('matrix-colours').palette.length + satAtlas.find('matrix-colours').palette[0]")
    tab.choose("#palette", "cividis")
    after = tab.run("satAtlas.find('matrix-colours').palette.length + satAtlas.find('matrix-colours').palette[0]")
    assert before != after


def test_pointing_at_a_cell_says_its_numbers_and_a_click_opens_the_pair(tab: Tab, results: Results):
    rows = tab.run("satAtlas.rows()")
    one, other = NAMES[rows[2]], NAMES[rows[7]]
    x, y = centre(tab, 2, 7)
    tab.move(x, y)
    tab.wait("!document.getElementById('tip').hidden")
    tip = tab.run("document.getElementById('tip').textContent").split("\n")
    similar = results.tables["most_similar"]
    row = similar[(similar["model_a"].isin([one, other])) & (similar["model_b"].isin([one, other]))]
    row = row.iloc[0]
    rate = results.tables["pairs"].set_index(["source", "target"])["rate"]
    assert tip[:2] == [f"{one} and {other}", f"SAT: {row['sat']:.2f}"]
    assert tip[2] == f"95 % interval: {row['sat_low']:.2f} to {row['sat_high']:.2f}"
    assert tip[3] == f"rates: {100 * rate[one, other]:.1f} % from {one}, {100 * rate[other, one]:.1f} % from {other}"
    assert tip[4] == f"images: {row['n_both_correct']}"
    assert tip[5:] == ([] if row["above_noise"] else ["not above random noise of the same size"])
    tab.click(x, y)
    tab.wait(f"document.querySelector('#detail h3').textContent === {json.dumps(f'{one} and {other}')}")
    assert tab.run("satAtlas.find('matrix-marks').data.left.length") == 2
    tab.move(5, 5)
    tab.wait("document.getElementById('tip').hidden")
    time.sleep(0.5)  # Bokeh takes two quick clicks for a double click
    x, y = centre(tab, 4, 4)
    tab.click(x, y)
    tab.wait(f"document.querySelector('#detail h3').textContent === {json.dumps(NAMES[rows[4]])}")


def test_a_box_zooms_into_its_cells_and_reset_goes_back(tab: Tab):
    rows = tab.run("satAtlas.rows()")
    (left, top), (right, bottom) = centre(tab, 3, 2), centre(tab, 7, 8)
    tab.drag((left, top), (right, bottom))
    tab.wait("satAtlas.find('matrix').left[0].ticker.ticks.length === 5")
    shown = tab.run("[...satAtlas.find('matrix').left[0].major_label_overrides.values()]")
    assert [name.replace("\u200b", "")[:20] for name in shown] == [NAMES[row][:20] for row in rows[3:8]]
    assert tab.run("satAtlas.find('matrix').above[0].ticker.ticks.length") == 7
    tab.run("satAtlas.find('matrix').reset.emit()")
    tab.wait("satAtlas.find('matrix').left[0].ticker.ticks.length === 12")


def test_a_box_on_the_map_marks_its_models(tab: Tab):
    tab.run("document.getElementById('map-plot').scrollIntoView({block: 'center'})")
    left, top, width, height = tab.run(
        "(() => { const b = document.getElementById('map-plot').getBoundingClientRect();"
        "return [b.left, b.top, b.width, b.height]; })()"
    )
    tab.drag((left + 20, top + 20), (left + width - 60, top + height - 60))
    tab.wait("document.getElementById('marked').textContent === '12 of 12 models marked'")


def test_a_pair_has_the_numbers_of_the_tables(tab: Tab, results: Results):
    pairs = results.tables["pairs"].set_index(["source", "target"])
    similar = results.tables["most_similar"]
    for place in (3, 20, 60):
        row = similar.iloc[place]
        one, other = row["model_a"], row["model_b"]
        said = ask(tab, one, other)
        assert said.startswith(f"{one} and {other}")
        interval = f"{row['sat_low']:.2f} to {row['sat_high']:.2f}"
        assert cells(tab, "similarity of the pair")["SAT"] == [f"{row['sat']:.2f}", interval]
        found = cells(tab, "both directions")
        ways = [pairs.loc[(one, other)], pairs.loc[(other, one)]]
        assert found["images that fool"] == [f"{way['n_fooled']} of {way['n_both_correct']}" for way in ways]
        assert found["rate"] == [f"{100 * way['rate']:.1f} %" for way in ways]
        ends = [(100 * way["rate_low"], 100 * way["rate_high"]) for way in ways]
        assert found["95 % interval"] == [f"{low:.1f} % to {high:.1f} %" for low, high in ends]
        assert found["above noise"] == ["yes" if way["above_noise"] else "no" for way in ways]
        assert ("not above random noise" in said) == (not row["above_noise"])


def test_a_model_has_its_numbers_and_its_nearest(tab: Tab, results: Results):
    for name in ("__proto__", NAMES[0]):
        place = NAMES.index(name)
        ask(tab, name)
        facts, models = cells(tab, "facts"), results.tables["models"].set_index("model")
        assert facts["accuracy"][0] == f"{100 * models.loc[name, 'accuracy']:.1f} %"
        assert facts["white-box success"] == ["99.0 %", "97.0 % to 100.0 %"]
        effects = results.tables["effects"].set_index("model").loc[name]
        ends = f"{effects['strength_low']:.2f} to {effects['strength_high']:.2f}"
        assert facts["strength, log-odds"] == [f"{effects['strength']:.2f}", ends]
        assert facts["weights"][0] == "trained on the study's own images"
        others = results.tables["sat"].iloc[place].drop(name).sort_values(ascending=False)
        assert list(cells(tab, "nearest models")) == list(others.index[:5])
        assert list(cells(tab, "farthest models")) == list(others.index[::-1][:5])
    tab.run("document.querySelector('#detail table[aria-label=\"nearest models\"] button').click()")
    assert tab.text("#detail h3") == f"{NAMES[0]} and {others.index[0]}"


def test_a_name_that_is_not_there_is_refused(tab: Tab):
    ask(tab, "12")
    assert ask(tab, "no such model").startswith("12")
    assert tab.run("document.querySelector('#pair-a').validationMessage") == "This study has no such model."


def test_examples_show_images_perturbation_and_probabilities(tab: Tab, results: Results):
    row = results.examples.iloc[0]
    ask(tab, row["source"], row["target"])
    tab.wait("[...document.querySelectorAll('.example canvas')].every(one => one.dataset.most === '24')")
    said = tab.text(".example")
    assert f"Made on {row['source']}: fools both models (image <b>0, class six & <i>)" in said.replace("\n", "")
    assert "six & <i> (87.5 %)" in said and "two (50.0 %)" in said and "two (probability not recorded)" in said
    drawn = tab.run("document.querySelector('.example canvas').toDataURL()").partition(",")[2]
    canvas = np.asarray(Image.open(io.BytesIO(base64.b64decode(drawn))).convert("RGB")).astype(int)
    clean, adversarial = (
        np.asarray(Image.open(io.BytesIO(row[key]))).astype(int) for key in ("clean_png", "adversarial_png")
    )
    assert (canvas == 128 + np.round(127 * (adversarial - clean) / 24)).all()
    assert "5.3 (largest: 24 grey levels)" in said
    shown = tab.run("document.querySelector('.example img').src").partition(",")[2]
    assert base64.b64decode(shown) == row["clean_png"]


def test_a_search_marks_models_in_both_plots_and_can_leave_the_others_out(tab: Tab, results: Results):
    tab.run("document.getElementById('search').focus()")
    tab.type("$$")
    assert tab.text("#marked") == "1 of 12 models marked"
    assert tab.run("satAtlas.find('map-points').selected.indices") == [2]
    assert tab.run("satAtlas.find('matrix-marks').data.left.length") == 2
    time.sleep(0.2)
    assert "Click a cell" in tab.text("#detail"), "a search opens no page by itself"
    tab.press("Enter", 13)
    assert tab.text("#detail h3") == NAMES[2]
    tab.run("document.getElementById('search').select()")
    tab.type("o")
    wanted = [place for place, name in enumerate(NAMES) if "o" in name.lower()]
    assert tab.text("#marked") == f"{len(wanted)} of 12 models marked"
    tab.run("document.getElementById('only').click()")
    assert sorted(tab.run("satAtlas.rows()")) == wanted
    rows = tab.run("satAtlas.rows()")
    assert np.allclose(image(tab), matrix_of(results, rows), equal_nan=True, atol=1e-6)
    tab.run("document.getElementById('clear').click()")
    assert len(tab.run("satAtlas.rows()")) == 12 and tab.text("#marked") == ""


def test_the_map_changes_its_layout_and_colours_and_marks_what_is_chosen(tab: Tab, results: Results):
    first = tab.run("satAtlas.find('map-points').data.x")
    tab.choose("#layout", "1")
    second = tab.run("satAtlas.find('map-points').data.x")
    assert np.allclose(second, results.tables["tsne"]["x"], atol=1e-4) and not np.allclose(first, second)
    legend = tab.run("[...document.querySelectorAll('#legend span')].map(one => one.textContent)")
    assert len(legend) == 3 and set(legend) == set(FAMILIES)
    looks = tab.run(
        "satAtlas.find('map-points').data.colour.map((c, k) => c + satAtlas.find('map-points').data.marker[k])"
    )
    assert {
        (a == b) == (c == d) for a, c in zip(looks, FAMILIES, strict=True) for b, d in zip(looks, FAMILIES, strict=True)
    } == {True}
    tab.choose("#colour", "accuracy")
    colours = tab.run("satAtlas.find('map-points').data.colour")
    accuracy = results.tables["models"]["accuracy"].to_numpy()
    palette = tab.run("JSON.parse(document.getElementById('data').textContent).palettes.viridis")
    assert colours[accuracy.argmax()] == palette[-1] and colours[accuracy.argmin()] == palette[0]
    tab.choose("#colour", "")
    assert tab.run("document.getElementById('legend').childElementCount") == 0
    # As a box that is drawn does.
    tab.run("satAtlas.find('map-points').selected.indices = [3, 5]")
    tab.wait("document.getElementById('marked').textContent === '2 of 12 models marked'")
    assert tab.text("#detail h3") == f"{NAMES[3]} and {NAMES[5]}"


def test_distances_on_the_map_of_sat_are_those_of_classical_scaling(results: Results):
    from scipy.spatial.distance import cdist

    from sat.report.atlas.data import scaled

    # Points in a plane have distances that two dimensions keep.
    points = np.random.default_rng(0).normal(size=(9, 2))
    sat = results.tables["sat"].iloc[:9, :9].copy()
    sat.iloc[:, :] = math.log(100) - cdist(points, points)
    found = scaled(sat)[["x", "y"]].to_numpy()
    assert np.allclose(cdist(found, found), cdist(points, points))


def test_tables_sort_and_filter(tab: Tab, results: Results):
    entry = "document.querySelector('[data-table=most_similar]')"
    tab.run(f"{entry}.closest('details').open = true")
    tab.wait(f"{entry}.querySelector('tbody tr')")
    heads = tab.run(f"[...{entry}.querySelectorAll('th')].map(one => one.textContent)")
    frame = results.tables["most_similar"]
    assert heads == list(frame)

    def column(name: str) -> list[str]:
        place = heads.index(name) + 1
        return tab.run(f"[...{entry}.querySelectorAll('tbody td:nth-child({place})')].map(one => one.textContent)")

    def sort(name: str) -> None:
        tab.run(f"{entry}.querySelectorAll('th button')[{heads.index(name)}].click()")

    assert [float(text) for text in column("sat")] == [float(f"{value:.4g}") for value in frame["sat"]]
    sort("n_both_correct")
    assert [int(text) for text in column("n_both_correct")] == sorted(frame["n_both_correct"], reverse=True)
    assert tab.run(f"{entry}.querySelector('[aria-sort]').ariaSort") == "descending"
    sort("n_both_correct")
    assert [int(text) for text in column("n_both_correct")] == sorted(frame["n_both_correct"])
    tab.run(f"{entry}.querySelector('input').focus()")
    tab.type("__PROTO__")
    mine = (frame["model_a"] == "__proto__") | (frame["model_b"] == "__proto__")
    assert len(column("sat")) == mine.sum() == 11
    assert f"11 of {mine.sum()} rows shown" in tab.text("[data-table=most_similar] output")


def test_an_address_opens_its_pair_or_model(tab: Tab, page: Path):
    for name in NAMES:
        tab.run(f"location.hash = 'model=' + encodeURIComponent({json.dumps(name)})")
        tab.wait(f"document.querySelector('#detail h3')?.textContent === {json.dumps(name)}")
    pair = "encodeURIComponent({}) + '&' + encodeURIComponent({})".format(*map(json.dumps, NAMES[8:10]))
    tab.run(f"location.hash = 'pair=' + {pair}")
    tab.wait(f"document.querySelector('#detail h3').textContent === {json.dumps(' and '.join(NAMES[8:10]))}")
    tab.run("location.hash = 'pair=%E0%A4%A&nobody'")


def test_the_finding_and_hostile_texts_are_text(tab: Tab, results: Results):
    body = tab.run("document.body.textContent")
    assert "What could not be said, and why" in body and "@inproceedings{hwang2024" in body
    assert "{{ 7 * 7 }}" in ask(tab, NAMES[5]) and "49" not in tab.text("#detail h3")
    script = "[...document.querySelectorAll('main img, main svg, main script')].filter(e => [...e.attributes]"
    assert tab.run(script + ".some(a => a.name.startsWith('on'))).length") == 0
    assert tab.run("document.querySelectorAll('main script').length") == 0
    assert tab.run("document.querySelectorAll('[onload], [onerror]').length") == 0


def test_it_is_usable_with_keys_and_named_for_screen_readers(tab: Tab):
    unnamed = tab.run(
        "[...document.querySelectorAll('input, select, button, [role=img], img')].filter(one => !(one.labels?.length ||"
        " one.ariaLabel || one.alt || one.textContent.trim()) && !one.closest('#matrix-plot, #map-plot')).length"
    )
    assert unnamed == 0
    levels = tab.run("[...document.querySelectorAll('h1, h2, h3')].map(one => +one.tagName[1])")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    tab.run("document.querySelector('#measure').focus()")
    seen = []
    for _ in range(8):
        tab.press("Tab", 9)
        seen.append(tab.run("document.activeElement.id"))
    assert seen[:5] == ["order", "palette", "search", "only", "clear"]


@pytest.mark.parametrize(("width", "name"), [(390, "phone"), (1280, "desktop")])
def test_nothing_is_wider_than_the_window(tab: Tab, width: int, name: str):
    tab.resize(width, 844)
    ask(tab, NAMES[10], NAMES[0])
    tab.run("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    tab.wait("document.querySelector('[data-table=most_similar] tbody tr')")
    tab.wait(f"satAtlas.find('matrix').outer_width <= {width}")
    assert tab.run("document.documentElement.scrollWidth") <= width
    tab.screenshot(f"atlas-{name}")
    for kind in ("deuteranopia", "protanopia") if width > 1000 else ():
        tab.run("document.getElementById('matrix').scrollIntoView()")
        tab.call("Emulation.setEmulatedVisionDeficiency", type=kind)
        tab.screenshot(f"atlas-{kind}", whole=False)
    tab.call("Emulation.setEmulatedVisionDeficiency", type="none")
    tab.resize(1280, 900)


def test_print_leaves_the_controls_out(tab: Tab):
    tab.call("Emulation.setEmulatedMedia", media="print")
    assert tab.run("getComputedStyle(document.querySelector('.controls')).display") == "none"
    tab.call("Emulation.setEmulatedMedia", media="")


def test_a_study_of_a_matrix_has_what_exists(shared: Tab, tmp_path: Path):
    results = made([f"m{k}" for k in range(8)], ["a", "b"] * 4, matrix=True)
    path = tmp_path / "atlas.html"
    path.write_text(make_page(results), encoding="utf-8")
    shared.open(path, READY)
    assert "no intervals are available" in shared.text("#finding")
    assert shared.run("[...document.querySelectorAll('#measure option')].map(one => one.value)") == ["sat", "affinity"]
    said = ask(shared, "m0", "m1")
    assert "Both directions" not in said and f"{results.tables['sat'].loc['m0', 'm1']:.2f}" in said
    assert shared.complaints == []


def test_estimated_pairs_are_told_from_measured_ones(shared: Tab, tmp_path: Path):
    names = [f"m{k}" for k in range(10)]
    results = with_landmarks(made(names, ["a", "b"] * 5), names[:6])
    path = tmp_path / "atlas.html"
    path.write_text(make_page(results), encoding="utf-8")
    shared.open(path, READY)
    said, row = ask(shared, "m7", "m9"), results.tables["estimated"].set_index(["model_a", "model_b"]).loc[("m7", "m9")]
    assert "not measured, but estimated" in said and "Both directions" not in said and "not above random" not in said
    assert cells(shared, "both directions") == {}
    for key, found in zip(("sat", "affinity"), cells(shared, "similarity of the pair").values(), strict=True):
        assert found == [f"{row[key]:.2f}", f"{row[f'{key}_low']:.2f} to {row[f'{key}_high']:.2f}"]
    said = ask(shared, "m5", "m9")
    assert "estimated" not in said and "Both directions" in said
    shared.choose("#measure", "estimated")
    assert "estimated (1) or measured (0)" in shared.text("#measure")
    rows = shared.run("satAtlas.rows()")
    both = np.logical_and.outer(np.array(rows) >= 6, np.array(rows) >= 6).astype(float)
    np.fill_diagonal(both, np.nan)
    assert np.array_equal(image(shared), both, equal_nan=True)
    # Pointing at a cell says so too, and makes up no rates.
    for pair, estimated in (((6, 8), True), ((0, 8), False)):
        shared.move(*centre(shared, *map(rows.index, pair)))
        first = json.dumps(f"m{pair[0]} and m{pair[1]}")
        shared.wait(f"document.getElementById('tip').textContent.startsWith({first})")
        tip = shared.run("document.getElementById('tip').textContent")
        assert ("not measured, but estimated" in tip, "rates: " not in tip) == (estimated, estimated)
    assert shared.complaints == []


def test_the_same_results_give_the_same_bytes_in_every_process(results: Results, page: Path):
    assert make_page(results) == page.read_text(encoding="utf-8")
    script = (
        "import sys; sys.path[:0] = ['tests', 'workflow']\n"
        "from atlases import made\nfrom sat.report.atlas.page import make_page\n"
        "import hashlib; print(hashlib.sha256(make_page(made(list('abcd'), list('xxyy'))).encode()).hexdigest())"
    )
    root = Path(__file__).parents[3]
    calls = [subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True) for _ in "12"]
    assert calls[0].stdout == calls[1].stdout != "", calls[0].stderr
