"""The first page of Snakemake's report, as reStructuredText: the finding, the matrix and a link to the atlas."""

from __future__ import annotations

import base64
import re

from sat.report.atlas.data import MOST_SVG
from sat.report.atlas.finding import statements, surest
from sat.report.atlas.page import about, sections
from sat.report.atlas.results import Results

LONGEST = 5000
"""Characters of a line; docutils refuses lines of more than 10,000."""


def make_landing(results: Results) -> str:
    """Write the page.

    Parameters
    ----------
    results : Results

    Returns
    -------
    str
        A template as Snakemake's report reads it. Texts of the study are escaped.
    """
    found = statements(results.tables, results.config)
    title = escaped(str(results.config["study"]))
    lines = [title, "=" * len(title), "", escaped(about(results)), ""]
    lines += ["The page `atlas.html <atlas.html>`__ beside this report shows everything: the matrix, all models, all"]
    lines += ["pairs with adversarial images, and all tables.", ""]
    lines += ["**The finding**", ""]
    lines += [f"* **{escaped(one.text)}** {escaped(one.sure)}" for one in surest(found)] or ["* Nothing is sure."]
    if unsure := [f"* **{escaped(one.text)}** {escaped(one.sure)}" for one in found if one.open]:
        lines += ["", "**What could not be said, and why**", "", *unsure]
    picture = results.figures.get("clustermap", b"")
    if 0 < len(picture) <= MOST_SVG:
        uri = f"data:image/svg+xml;base64,{base64.b64encode(picture).decode()}"
        parts = [uri[start : start + LONGEST] for start in range(0, len(uri), LONGEST)]
        lines += ["", f".. image:: {parts[0]}", *(f"   {part}" for part in parts[1:]), "   :alt: the matrix"]
    names = [escaped(name) for name, _ in sections(results, found)]
    lines += ["", f"The sections of this report, in reading order: {', '.join(names)}."]
    return "\n".join([*lines, ""])


def escaped(text: str) -> str:
    """Escape text, so that it is neither markup of reStructuredText nor of Jinja."""
    plain = re.sub(r"([^A-Za-z0-9\s.,;%()])", r"\\\1", " ".join(text.split()))
    return plain.replace("{", '{{ "{" }}')
