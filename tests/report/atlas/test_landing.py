"""The first page of Snakemake's report, rendered as Snakemake renders it."""

from __future__ import annotations

import dataclasses
import re

import pytest
from docutils.core import publish_parts
from jinja2 import Environment

from atlases import made
from sat.report.atlas.landing import escaped, make_landing

HOSTILE = ["{{ 7 * 7 }}", "{% raw %}", "`x <http://a>`_", "*a* **b** |c| d_", ".. raw:: html", "<script>"]
HOSTILE += ["\\$'\"", "{#"]


def rendered(text: str) -> str:
    return publish_parts(Environment().from_string(text).render(), writer_name="html")["html_body"]


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_are_shown_as_they_are(text: str):
    shown = rendered(f"before\n\n* **{escaped(text)}** {escaped(text)}\n\nafter\n")
    plain = re.sub("<[^>]+>", "", shown).replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"')
    assert plain.count(text) == 2, shown
    assert "system-message" not in shown and "<script" not in shown and "href" not in shown


def test_it_holds_the_finding_the_matrix_and_the_link():
    names = [f"m{place} {text}" for place, text in enumerate(HOSTILE)]
    results = dataclasses.replace(made(names, ["a", "b"] * 4), figures={"clustermap": b"<svg/>" * 5000})
    shown = rendered(make_landing(results))
    assert "system-message" not in shown and "<script>" not in shown and "{{" in shown
    assert 'href="atlas.html"' in shown and "What could not be said" in shown and "The finding" in shown
    assert re.search(r'src="data:image/svg\+xml;base64,[A-Za-z0-9+/=]{39000,}"', shown)
    assert "Models, Similarity, Clusters" in shown and "Distillation" not in shown
