"""Statements about other trainings, another matrix, other attacks, and students: where a study has such analyses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from sat.report.atlas.statement import Statement, listed
from sat.report.wording import p_words
from sat.text import opening
from sat.units.analysis import SIMILARITIES

Tables = Mapping[str, pd.DataFrame]
HALF = 0.5
STUDY = "(study)"
"""Name of the study's own attack in the table of the ablation."""


def _retraining(tables: Tables, config: Mapping[str, Any]) -> Iterator[Statement]:
    """Whether another training of the same nets gives the same matrix."""
    for row in _records(tables, "retraining"):
        share, low, high = row["share"], row["share_low"], row["share_high"]
        if share != share:
            continue
        name, nets = SIMILARITIES[row["measure"]], int(row["n_nets"])
        numbers = f"interval {100 * low:.0f} to {100 * high:.0f} %, jackknife over {nets} nets"
        if high < HALF:
            yield Statement(
                "retraining",
                f"{opening(name)} differs more between nets than between trainings of the same nets: the seeds of the "
                f"training make {100 * share:.0f} % of its variance.",
                f"{opening(numbers)}." + _wider(row["widening"]),
                margin=HALF - high,
            )
        elif low > HALF:
            yield Statement(
                "retraining",
                f"{opening(name)} differs more between trainings of the same nets than between nets: the seeds of the "
                f"training make {100 * share:.0f} % of its variance.",
                f"{opening(numbers)}." + _wider(row["widening"]),
                margin=low - HALF,
            )
        else:
            yield Statement(
                "retraining",
                f"It is not certain whether {name} depends more on the nets or on the seeds of their training.",
                f"The seeds make {100 * share:.0f} % of its variance, but with {nets} nets "
                + (f"the {numbers.partition(',')[0]} contains half." if low == low else "no interval is known."),
                open=True,
            )


def _wider(factor: float) -> str:
    if not factor > 1:
        return ""
    return f" An interval for other trainings must be {factor:.1f} times as wide as one for other images."


def _reference(tables: Tables, config: Mapping[str, Any]) -> Iterator[Statement]:
    """Whether another matrix of the same models says the same."""
    rows = [row for row in _records(tables, "reference") if row["group"] == "all" and pd.notna(row["mantel_p"])]
    for row in rows:
        name, p = SIMILARITIES[row["of"]], min(1.0, row["mantel_p"] * len(rows))
        told = f"Rank correlation {row['spearman']:.2f} over {row['n_pairs']:,.0f} pairs of models"
        if p <= 1 - config["confidence"] and row["pearson"] > 0:
            yield Statement(
                "reference",
                f"{opening(name)} correlates positively with {name} of the reference (Pearson's correlation "
                f"{row['pearson']:.2f}).",
                f"{told}; {p_words(p)}, one-sided, from permutations of models"
                + (f", adjusted for {len(rows)} tests." if len(rows) > 1 else "."),
                margin=float(row["pearson"]),
            )
        else:
            yield Statement(
                "reference",
                f"{opening(name)} is not shown to agree with {name} of the reference.",
                f"{told}; {p_words(p)}.",
                open=True,
            )


def _ablation(tables: Tables, config: Mapping[str, Any]) -> Iterator[Statement]:
    """Whether other attacks give the same order of pairs."""
    table = tables.get("ablation")
    if table is None:
        return
    for of, name in SIMILARITIES.items():
        rows = table[(table["of"] == of) & (table["variant"] != STUDY) & table["mantel_p"].notna()]
        if rows.empty:
            continue
        adjusted = (rows["mantel_p"] * len(rows)).clip(upper=1)
        known = (adjusted <= 1 - config["confidence"]) & (rows["spearman"] > 0)
        if known.any():
            agree = rows[known]
            worst = agree.loc[agree["spearman"].idxmin()]
            which = "the one other attack" if len(rows) == 1 else f"{known.sum()} of {len(rows)} other attacks"
            yield Statement(
                "ablation",
                f"{opening(name)} of {which} correlates positively with {name} of the study's attack: the rank "
                f"correlation over pairs of models is {worst['spearman']:.2f}{' or more' if len(agree) > 1 else ''}.",
                f"Lowest for {worst['variant']}; largest {p_words(adjusted[known].max())}, from permutations of models"
                + (f", adjusted for {len(rows)} attacks." if len(rows) > 1 else "."),
                margin=float(worst["spearman"]),
            )
        if not known.all():
            yield Statement(
                "ablation",
                f"{opening(name)} of {listed([str(one) for one in rows.loc[~known, 'variant']])} is not shown to agree "
                f"with {name} of the study's attack.",
                f"Smallest {p_words(adjusted[~known].min())}, adjusted.",
                open=True,
            )


def _distillation(tables: Tables, config: Mapping[str, Any]) -> Iterator[Statement]:
    """Which teacher is best, and whether similar teachers are better."""
    table = tables.get("distillation")
    if table is not None and (known := table.dropna(subset=["gain", "gain_low", "gain_high"])).shape[0] > 1:
        ranked = known.sort_values("gain", ascending=False, kind="stable")
        first, rest = ranked.iloc[0], ranked.iloc[1:]
        low, highest = 100 * first["gain_low"], 100 * rest["gain_high"].max()
        if low > highest and low > 0:
            yield Statement(
                "distillation",
                f"{first['teacher']} is the best teacher: its student gains {100 * first['gain']:.1f} percentage "
                "points.",
                f"Interval {low:.1f} to {100 * first['gain_high']:.1f} over {first['n_seeds']:.0f} seeds; no other "
                f"interval goes beyond {highest:.1f}.",
                margin=low - highest,
            )
        else:
            rivals = [str(name) for name in rest.loc[100 * rest["gain_high"] >= low, "teacher"]]
            yield Statement(
                "distillation",
                "The best teacher is not certain.",
                f"{first['teacher']} is ahead, but its interval overlaps with {listed(rivals)}."
                if rivals
                else f"{first['teacher']} is ahead, but its interval contains no gain at all.",
                open=True,
            )
    rows = [row for row in _records(tables, "distillation_relation") if row["group"] == "all" and pd.notna(row["p"])]
    for row in rows:
        name, p = SIMILARITIES[row["of"]], min(1.0, row["p"] * len(rows))
        if p <= 1 - config["confidence"]:
            yield Statement(
                "distillation_relation",
                f"{'More' if row['spearman'] > 0 else 'Less'} similar teachers give more gain, by {name} (rank "
                f"correlation {row['spearman']:.2f} over {row['n_teachers']:.0f} teachers).",
                f"{p_words(p)}, from exchanging the similarity of teachers"
                + (f", adjusted for {len(rows)} tests." if len(rows) > 1 else "."),
                margin=abs(float(row["spearman"])),
            )
        else:
            yield Statement(
                "distillation_relation",
                f"{opening(name)} of teacher and student is not shown to say how much the student gains.",
                f"Rank correlation {row['spearman']:.2f} over {row['n_teachers']:.0f} teachers; {p_words(p)}.",
                open=True,
            )


def _records(tables: Tables, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tables[name].to_dict("records") if name in tables else []
    return found


COMPARISONS = (_retraining, _reference, _ablation, _distillation)
"""What is asked of studies that have these analyses."""
