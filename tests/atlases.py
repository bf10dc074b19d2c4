"""Made-up results of a study of any size, for tests and benchmarks of report/atlas.html."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from PIL import Image

from sat.report.atlas.finding import statements
from sat.report.atlas.results import Results
from sat.report.atlas.statement import Statement
from sat.study.config import Config
from sat.units import declarations
from sat.units.chart import as_json

CONFIG = {"confidence": 0.95, "min_whitebox": 0.9, "matrix": None}
"""Settings that statements depend on."""
Z = 1.959963984540054


def wilson(k: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of Wilson's interval at 95 %."""
    p = k / n
    middle = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return middle - half, middle + half


def made(names: Sequence[str], families: Sequence[str], matrix: bool = False, seed: int = 0) -> Results:
    """Results of a study with these models; one of a given matrix has no pairs in both directions."""
    random, n = np.random.default_rng(seed), len(names)
    names, family = [str(name) for name in names], np.array(families)
    level = random.normal(-3, 0.6, (n, 1)) + random.normal(0, 0.6, (1, n)) + 1.5 * (family[:, None] == family)
    count = random.integers(500, 700, (n, n))
    count = np.minimum(count, count.T)
    fooled = random.binomial(count, 1 / (1 + np.exp(-level)))
    np.fill_diagonal(fooled, np.diag(count))
    rate, (low, high) = fooled / count, wilson(fooled, count)
    sat, sat_low, sat_high = (np.log(np.maximum(0.01, 50 * (one + one.T))) for one in (rate, low, high))
    logit = np.log((fooled + 0.5) / (count - fooled + 0.5))
    rest = logit - logit.mean(0) - logit.mean(1)[:, None] + logit.mean()
    affinity = (rest + rest.T) / 2
    np.fill_diagonal(affinity, np.nan)
    first, second = np.triu_indices(n, 1)
    similar = pd.DataFrame(
        {
            "model_a": np.array(names, object)[first],
            "model_b": np.array(names, object)[second],
            "n_both_correct": count[first, second],
            "sat": sat[first, second],
            "sat_low": sat_low[first, second],
            "sat_high": sat_high[first, second],
            "above_noise": sat[first, second] > 1,
            "noise_p_holm": np.where(sat[first, second] > 1, 1e-9, 0.5),
            "directions_above": np.where(sat[first, second] > 1, 2, 0),
            "at_floor": False,
        }
    )
    similar = similar.sort_values("sat", ascending=False, ignore_index=True)
    one, other = np.divmod(np.arange(n * n), n)
    noise = random.uniform(0, 0.02, n)
    pairs = pd.DataFrame(
        {
            "source": np.array(names, object)[one],
            "target": np.array(names, object)[other],
            "n_both_correct": count.ravel(),
            "n_fooled": fooled.ravel(),
            "rate": rate.ravel(),
            "rate_low": low.ravel(),
            "rate_high": high.ravel(),
            "noise_rate": np.tile(noise, n),
            "above_noise": (rate > noise).ravel(),
        }
    )
    models = pd.DataFrame({"model": names, "family": family, "accuracy": random.uniform(0.9, 1, n)})
    models = models.assign(n_attacked=np.diag(count), whitebox=0.99, whitebox_low=0.97, whitebox_high=1.0)
    models = models.assign(low_whitebox=False, noise_rate=noise)
    numbers = {one: k + 1 for k, one in enumerate(sorted(set(family)))}
    clusters = pd.DataFrame({"model": names, "cluster": [numbers[one] for one in family]})
    clusters["cluster_affinity"] = clusters["cluster"]
    membership = pd.concat([pd.DataFrame({"of": of, "model": names, "mates": 0.95}) for of in ("sat", "affinity")])
    effects = pd.DataFrame({"model": names, "family": family})
    for key, value in (("strength", logit.mean(1)), ("fragility", logit.mean(0))):
        effects[key], effects[f"{key}_low"], effects[f"{key}_high"] = value, value - 0.2, value + 0.2
    shares = random.uniform(0, 1, len(similar))
    mistakes = similar[["model_a", "model_b"]].assign(same_share=shares, excess=0.1, p_holm=0.5)
    tables = {
        "sat": pd.DataFrame(sat, names, names),
        "affinity": pd.DataFrame(affinity, names, names),
        "clusters": clusters,
        "membership": membership,
        "tsne": pd.DataFrame({"model": names, "x": random.normal(size=n), "y": random.normal(size=n)}),
    }
    more = {"pairs": pairs, "most_similar": similar, "models": models, "effects": effects, "mistakes": mistakes}
    study = {"study": "made", "models": "models.csv", "images": {"source": "digits", "canvas": 32}}
    config = load_config(study if not matrix else {"study": "made", "matrix": "sat.csv"})
    rows = {name: {"model": name, "family": one, "weights": "train"} for name, one in zip(names, family, strict=True)}
    columns = {"family": dict(zip(names, family.tolist(), strict=True))}
    shown = None if matrix else examples(names, sat)
    tables = tables if matrix else {**tables, **more}
    return Results(config, rows, columns, places(), tables, {}, drawn(), shown, ["torch 0"])


def with_landmarks(results: Results, landmarks: Sequence[str]) -> Results:
    """The same study, of which pairs without a landmark are estimated, with intervals as wide as 0.6."""
    tables = dict(results.tables)
    similar, pairs = tables["most_similar"], tables["pairs"]
    unknown = ~(similar["model_a"].isin(landmarks) | similar["model_b"].isin(landmarks))
    estimated = similar.loc[unknown, ["model_a", "model_b", "sat"]].reset_index(drop=True)
    couples = zip(estimated["model_a"], estimated["model_b"], strict=True)
    estimated["affinity"] = [tables["affinity"].loc[couple] for couple in couples]
    for key in ("sat", "affinity"):
        estimated = estimated.assign(**{f"{key}_low": estimated[key] - 0.3, f"{key}_high": estimated[key] + 0.3})
    known = pairs["source"].isin(landmarks) | pairs["target"].isin(landmarks) | (pairs["source"] == pairs["target"])
    errors = pd.DataFrame({"model": results.models, "n": len(landmarks), "rms": 0.1, "unlike": False})
    tables |= {"estimated": estimated, "landmarks": errors, "pairs": pairs[known], "most_similar": similar[~unknown]}
    del tables["effects"], tables["mistakes"]
    return replace(results, tables=tables)


def stated(tables: Mapping[str, pd.DataFrame], topic: str, **config: object) -> tuple[list[Statement], list[Statement]]:
    """The sure and the open statements of a topic."""
    found = [one for one in statements(tables, {**CONFIG, **config}) if one.topic == topic]
    return [one for one in found if not one.open], [one for one in found if one.open]


def places() -> dict[str, list[str]]:
    """Sections and titles of all that our analyses show."""
    outputs = [unit.outputs.items() for unit in declarations("analyses").values()]
    return {path: [place.section, place.title] for each in outputs for path, place in each if place}


def drawn() -> dict[str, list[dict]]:
    """Charts of all our analyses."""
    return {name: as_json(one) for unit in declarations("analyses").values() for name, one in unit.charts.items()}


def load_config(study: dict) -> dict:
    """Settings of a study with all defaults, as study.json holds them."""
    return json.loads(Config.model_validate(study).model_dump_json(exclude={"compute", "atlas"}))


def examples(names: Sequence[str], sat: np.ndarray, side: int = 32) -> pd.DataFrame:
    """Examples of every model and its nearest: a grey square, and noise of exactly 24 grey levels on it."""
    random = np.random.default_rng(0)
    clean = np.full((side, side, 3), 120, np.uint8)
    rows = []
    for place, name in enumerate(names):
        nearest = int(np.argsort(sat[place])[-2])
        moved = (clean + random.choice([-24, 24], clean.shape)).astype(np.uint8)
        for kind in ("both", "source"):
            row = {"source": name, "target": names[nearest], "kind": kind, "image": f"<b>{place}", "label": "six & <i>"}
            row |= {"source_clean": "six & <i>", "source_clean_p": 0.875, "target_clean": "six & <i>"}
            row |= {"target_clean_p": 0.75, "source_adversarial": "two", "source_adversarial_p": 0.5}
            row |= {"target_adversarial": "two" if kind == "both" else "six & <i>", "target_adversarial_p": np.nan}
            rows.append({**row, "clean_png": png(clean), "adversarial_png": png(moved)})
    return pd.DataFrame(rows)


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
