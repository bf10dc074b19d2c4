"""Weight of report/atlas.html, and time until it is painted and can be used, at several numbers of models."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from harness import ROOT, Table, say

sys.path.append(str(ROOT / "tests"))

from atlases import made
from browser import browsing
from sat.report.atlas.page import make_page

SIZES = (12, 69, 500)
PAINT = (
    "new Promise(done => new PerformanceObserver(list => done(list.getEntries()[0].startTime))"
    ".observe({type: 'paint', buffered: true}))"
)
READY = "document.documentElement.dataset.ready"
FIGURES = {
    "clustermap": "clustermap",
    "effects_pairs": "every pair as a point",
    "effects": "effects",
    "dendrogram": "tree",
}
OPEN = (
    "(async () => {{ const host = document.querySelector('[data-chart={}]'), begun = performance.now();"
    "host.closest('details').open = true; host.scrollIntoView();"
    "while (!host.querySelector('.plot')?.dataset.drawn) await new Promise(requestAnimationFrame);"
    "await new Promise(requestAnimationFrame); return (performance.now() - begun) / 1000; }})()"
)


def run(repeats: int) -> Table:
    rows = []
    for size in SIZES:
        say(f"{size} models")
        results = made([f"model{number:03d}" for number in range(size)], [f"f{number % 9}" for number in range(size)])
        pairs = results.tables["most_similar"].query("model_a != model_b")[["model_a", "model_b", "sat"]]
        tables = {**results.tables, "effects_pairs": pairs.assign(affinity=0.0)}
        results = replace(results, tables=tables, figures={"clustermap": b"", "dendrogram": b""})
        begun = time.perf_counter()
        page = make_page(results)
        making = time.perf_counter() - begun
        painted, ready, drawn = [], [], {name: [] for name in FIGURES}
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "atlas.html"
            path.write_text(page, encoding="utf-8")
            for number in range(repeats):
                with browsing(Path(folder) / f"profile{number}") as tab:
                    begun = time.perf_counter()
                    tab.open(path, READY, seconds=120)
                    ready.append(time.perf_counter() - begun)
                    painted.append(tab.run(PAINT) / 1000)
                    for name in FIGURES:
                        drawn[name].append(tab.run(OPEN.format(name)))
        times = [f"{median(one):.2f}" for one in (painted, ready, *drawn.values())]
        rows.append((size, f"{len(page.encode()) / 1e6:.1f}", f"{making:.1f}", *times))
    return Table(
        "atlas",
        "Made-up results with examples of every model's nearest other model. In Chromium without a GPU and with a new "
        "profile: the first paint is that of the finding; ready is when matrix and map can be used. The others are "
        "times from opening a figure until it is drawn.",
        ("models", "MB", "made in, s", "first paint, s", "ready, s", *(f"{one}, s" for one in FIGURES.values())),
        rows,
    )
