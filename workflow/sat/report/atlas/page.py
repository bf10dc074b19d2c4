"""The page: template, style and script, filled with a study's results."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sat import units
from sat.report.atlas.answers import answer, title_of
from sat.report.atlas.charts import templates
from sat.report.atlas.data import MOST_ROWS, MOST_SVG, PIPELINE, payload, to_json
from sat.report.atlas.finding import statements, surest
from sat.report.atlas.methods import attack_words, bibtex, methods
from sat.report.atlas.plots import PALETTES, library, plots
from sat.report.atlas.results import Results
from sat.report.atlas.statement import Statement
from sat.report.wording import cautions
from sat.text import opening
from sat.units.analysis import Shown, in_reading_order

HERE = Path(__file__).parent
CAPTIONS = Path(__file__).resolve().parents[3] / "report"
NO_CHARTS: Mapping[str, Sequence[Mapping[str, Any]]] = {}


@dataclass
class Entry:
    """A table, a figure, or both, with the answer that they give."""

    name: str
    title: str
    tables: list[str] = field(default_factory=list)
    chart: bool = False
    """Whether the page's script draws it."""
    drawn: str = ""
    """Path of the figure, which is for papers; empty if there is none."""
    figure: str = ""
    """The figure as a data URI, where the page has no chart in its place."""
    answer: str = ""
    """A sentence with its result, for entries that the finding says nothing about."""
    answers: list[Statement] = field(default_factory=list)
    caption: str = ""
    too_large: str = ""


def make_page(results: Results) -> str:
    """Make the page.

    Parameters
    ----------
    results : Results

    Returns
    -------
    str
        HTML. It holds all scripts, styles, numbers and images, and is the same for the same results.
    """
    config = results.config
    found = statements(results.tables, config)
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["words"] = _words
    data = {**payload(results), "palettes": PALETTES}
    entries = sections(results, found, data["charts"])
    return environment.get_template("page.html").render(
        study=config["study"],
        about=about(results),
        surest=surest(found),
        rest=[one for one in found if not one.open and one not in surest(found)],
        open=[one for one in found if one.open],
        cautions=_cautions(results),
        sections=entries,
        settings=yaml.safe_dump(dict(config), sort_keys=True, allow_unicode=True),
        software=results.software,
        methods=methods(results),
        bibtex=bibtex(),
        most_rows=MOST_ROWS,
        # Only our own files and JSON without markup are put in as they are.
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup("\n".join((HERE / name).read_text(encoding="utf-8") for name in ("charts.js", "page.js"))),
        bokeh=Markup(library()),
        data=Markup(to_json(data)),
        plots=Markup(to_json({**plots(), **templates()})),
    )


def about(results: Results) -> str:
    """Say in a sentence what the study is: models, images and attack."""
    models = f"{len(results.models)} models"
    if "models" not in results.tables:
        return f"{models}, from an existing matrix."
    attacked = results.tables["models"]["n_attacked"]
    low, high = int(attacked.min()), int(attacked.max())
    images = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{models}, {images} attacked images each, attacked with {attack_words(results.config)}."


def _cautions(results: Results) -> list[str]:
    """Reasons to be careful: those of the summary, and the warnings about confounders."""
    config, tables = results.config, results.tables
    found: list[str] = []
    if "models" in tables and "most_similar" in tables:
        models, similar = tables["models"].set_index("model"), tables["most_similar"]
        low = models.loc[models["accuracy"] < config["min_accuracy"], "accuracy"]
        method = config["attack"]["method"]
        declared = units.declarations("attacks").get(method)
        found += cautions(
            models,
            similar[similar["sat"].notna()],
            low.to_dict(),
            min_whitebox=config["min_whitebox"],
            min_accuracy=config["min_accuracy"],
            confidence=config["confidence"],
            method=method,
            first_success=declared is not None and declared.selection == "first_success",
        )
    if "caveats" in tables:
        warnings = tables["caveats"]["warning"]
        found += [opening(text) for text in map(str, warnings[warnings.notna() & (warnings != "")])]
    return found


def sections(
    results: Results, found: Iterable[Statement], charts: Mapping[str, Sequence[Mapping[str, Any]]] = NO_CHARTS
) -> list[tuple[str, list[Entry]]]:
    """Arrange the tables and figures that the study has, in reading order.

    Parameters
    ----------
    results : Results
    found : iterable of Statement
        Answers, by the names of their tables.
    charts : mapping of str to sequence of mapping
        From `sat.report.atlas.charts.charts`. Headings do not depend on them.

    Returns
    -------
    list of (str, list of Entry)
        Headings with what stands below them.
    """
    shown = {**PIPELINE, **{path: Shown(*place) for path, place in results.shown.items()}}
    answers: dict[str, list[Statement]] = {}
    for one in found:
        answers.setdefault(one.topic, []).append(one)
    made: dict[str, dict[str, Entry]] = {}
    for path, place in shown.items():
        name, drawn = Path(path).stem, path.endswith(".svg")
        if name not in (results.figures if drawn else results.tables):
            continue
        entries = made.setdefault(place.section, {})
        entry = entries.setdefault(
            name,
            Entry(
                name,
                place.title,
                chart=name in charts,
                answers=answers.get(name, []),
                answer=answer(name, results.tables),
                caption=_caption(name),
            ),
        )
        if drawn:
            entry.answer = entry.answer or title_of(results.figures[name])
            _add_figure(entry, results.figures[name])
        else:
            entry.tables.append(name)
            entry.too_large = _too_long(path, results.tables[name])
    public = {entry.name for entries in made.values() for entry in entries.values() if entry.tables}
    for entries in made.values():
        for entry in entries.values():
            _add_hidden(entry, charts.get(entry.name, ()), public)
    return [(section, list(made[section].values())) for section in in_reading_order(made)]


def _too_long(path: str, frame: pd.DataFrame) -> str:
    if len(frame) <= MOST_ROWS:
        return ""
    return f"The first {MOST_ROWS:,} of {len(frame):,} rows; {path} has them all."


def _add_hidden(entry: Entry, views: Sequence[Mapping[str, Any]], public: Collection[str]) -> None:
    """Show the tables that a chart is drawn from, unless they stand elsewhere: keys reach their numbers there."""
    for name in dict.fromkeys(view["table"] for view in views if "table" in view):
        if name not in public:
            entry.tables.append(name)


def _add_figure(entry: Entry, svg: bytes) -> None:
    entry.drawn = f"figures/{entry.name}.svg"
    if entry.chart:
        return
    if len(svg) > MOST_SVG:
        entry.too_large += f" The figure is too large for this page; see figures/{entry.name}.svg."
    else:
        entry.figure = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def _caption(name: str) -> str:
    """The caption of a table or figure for the page; empty if there is none."""
    path = next((path for end in ("", "_figure") if (path := CAPTIONS / f"{name}{end}.rst").exists()), None)
    if path is None:
        return ""
    # A block in braces is for Snakemake's report alone, and a comment in braces for the page alone.
    text = re.sub(r"\{%.*?%\}.*?\{% endif %\}|\{[{%].*?[%}]\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"\{#(.*?)#\}", r"\1", text, flags=re.DOTALL)
    return " ".join(text.split())


def _words(text: str) -> Markup:
    """Make HTML of the markup that captions use: ``code``, *emphasis*, and links, of which the text is kept."""
    safe = str(Markup.escape(text))
    safe = re.sub(r"`([^`]+?) &lt;[^`]*?&gt;`_", r"\1", safe)
    safe = re.sub(r"``(.+?)``", r"<code>\1</code>", safe)
    return Markup(re.sub(r"\*([^*\s][^*]*?)\*", r"<em>\1</em>", safe))
