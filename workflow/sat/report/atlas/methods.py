"""A methods paragraph with the study's own numbers, and the reference, for papers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from sat import __version__, units
from sat.report.atlas.results import Results

CITATION = Path(__file__).resolve().parents[4] / "CITATION.cff"
NORMS = {"linf": "L-infinity", "l2": "L2", "patch": "patch"}


def attack_words(config: Mapping[str, Any]) -> str:
    """Describe the attack of a study: its method, norm, size and settings.

    Parameters
    ----------
    config : mapping
        Settings of the study.
    """
    attack = config["attack"]
    declared = units.declarations("attacks").get(attack["method"])
    if declared is None:
        return f"{attack['method']}, eps {attack['eps']}"
    given = {key: attack[key] for key in declared.keys if key in attack}
    settings = [f"{given.pop('steps')} steps of {given.pop('step')}"] if {"steps", "step"} <= given.keys() else []
    settings += [_setting(key.replace("_", " "), value) for key, value in given.items()]
    size = f"{attack['eps']} pixels" if declared.norm == "patch" else f"eps {attack['eps']}"
    return ", ".join([f"{attack['method']} ({declared.summary})", f"{NORMS[declared.norm]} norm, {size}", *settings])


def methods(results: Results) -> str:
    """Write a paragraph for the methods section of a paper.

    Parameters
    ----------
    results : Results

    Returns
    -------
    str
    """
    config, tables, n = results.config, results.tables, len(results.models)
    confidence = f"{100 * config['confidence']:g} %"
    floor = f"{config['eps_s']:g}"
    if config.get("matrix"):
        said = [f"We analysed an existing matrix of attack transferability (SAT; Hwang et al., 2024) of {n} models."]
    else:
        images, similar = config["images"], tables["most_similar"]
        common = similar["n_both_correct"]
        attacked, success = tables["models"]["n_attacked"], 100 * tables["models"]["whitebox"]
        said = [
            f"We measured how similar {n} image classifiers are by adversarial attack transferability (SAT; Hwang et "
            f"al., 2024) on images of '{images['source']}', resized to a common canvas of {images['canvas']} x "
            f"{images['canvas']} pixels.",
            f"Each model was attacked with {attack_words(config)}, on the images that it classifies correctly "
            f"({_span(attacked, 0)} per model).",
            f"White-box success was {_span(success, 1)} %.",
            "Every model was then evaluated on the adversarial images of every other model.",
            f"For a pair of models, only images count that both classify correctly ({_span(common, 0)} per pair).",
            f"SAT is the natural logarithm of the percentage of adversarial images that fool the other model, averaged "
            f"over both directions, with a floor of {floor} %.",
            f"Intervals of rates and of SAT are Wilson's at {confidence}, SAT's with the number of trials that both "
            "directions are worth together; they cover the choice of images only.",
            "As a control, every model was also evaluated on the images under random noise of the attack's size.",
        ]
    if "effects" in tables:
        said.append(
            "Affinity is similarity beyond what the two models' own strength and fragility predict within this pool: "
            "the rest of a least-squares fit of one effect of each model to the log-odds of transfer"
            + ("." if config.get("matrix") else f"; its intervals at {confidence} come from a bootstrap over images.")
        )
    if "clusters" in tables:
        asked = config["clusters"]
        said.append(f"Clusters are spectral, with k = {asked['k']} and {asked['starts']} random starts.")
    said.append(f"All random numbers derive from the seed {config['seed']}. Software: sat {__version__}.")
    return " ".join(said)


def bibtex(citation: Path = CITATION) -> str:
    """Write the entries of CITATION.cff as BibTeX: the paper, and this software.

    Parameters
    ----------
    citation : Path

    Returns
    -------
    str
        Empty if there is no such file.
    """
    if not citation.exists():
        return ""
    given = yaml.safe_load(citation.read_text(encoding="utf-8"))
    paper = given["preferred-citation"]
    authors = " and ".join(f"{one['family-names']}, {one['given-names']}" for one in paper["authors"])
    identifier = next((one["value"] for one in paper.get("identifiers", ()) if "arXiv" in one["value"]), "")
    return (
        f"@inproceedings{{{paper['authors'][0]['family-names'].lower()}{paper['year']},\n"
        f"  title = {{{paper['title']}}},\n"
        f"  author = {{{authors}}},\n"
        f"  booktitle = {{{paper['collection-title']}}},\n"
        f"  year = {{{paper['year']}}},\n"
        f"  note = {{{identifier}}}\n"
        "}\n"
        "@software{sat,\n"
        f"  title = {{{given['title']}}},\n"
        f"  author = {{{{{given['authors'][0]['name']}}}}},\n"
        f"  version = {{{given['version']}}}\n"
        "}\n"
    )


def _setting(words: str, value: Any) -> str:
    return f"{'with' if value else 'without'} {words}" if isinstance(value, bool) else f"{words} {value}"


def _span(values: Any, digits: int) -> str:
    """The range of some numbers."""
    if not len(values):
        return "none"
    low, high = (f"{end:,.{digits}f}" for end in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"
