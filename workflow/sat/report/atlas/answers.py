"""One sentence for each table that has neither a statement of the finding nor a figure with a title."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from xml.etree import ElementTree

import pandas as pd

from sat.report.wording import STEADY, measure_words
from sat.text import opening
from sat.units.analysis import SIMILARITIES

SURE = 0.05
"""Largest adjusted p of what a sentence counts; statements of the finding use the study's confidence."""


def title_of(svg: bytes) -> str:
    """Read the bold title of one of our figures, which says the answer; empty if it has none.

    Parameters
    ----------
    svg : bytes
        A figure that `sat.report.page.head` gave its title.

    Returns
    -------
    str
    """
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError:
        return ""
    for group in root.iter("{http://www.w3.org/2000/svg}g"):
        lines = [one for one in group if one.tag.endswith("}text")]
        bold = [one for one in lines if re.search(r"font(-weight)?:[^;]*\b(bold|700)\b", one.get("style", ""))]
        if bold:
            # Lines of a title are one below the other in one group; an answer ends with its numbers in brackets.
            words = " ".join("".join(one.itertext()).strip() for one in bold)
            return re.sub(r"\) (?=[A-Z]|affinity:)", "); ", words)
    return ""


def answer(name: str, tables: Mapping[str, pd.DataFrame]) -> str:
    """Say in a sentence what a table says; empty if it says nothing, or is not ours."""
    table = tables.get(name)
    return "" if table is None or table.empty or name not in ANSWERS else ANSWERS[name](table)


def _largest(table: pd.DataFrame, column: str) -> pd.Series | None:
    """Row with the largest value of a column, the first of equal ones; None if no value is known."""
    known = table[column].dropna()
    return None if known.empty else table.loc[known.idxmax()]


def _caveats(table: pd.DataFrame) -> str:
    warned = int((table["warning"].notna() & (table["warning"] != "")).sum())
    if not warned:
        return "No confounder is found."
    return (
        f"{warned} of {len(table)} checks for confounders warn{'s' if warned == 1 else ''}; the opening of this page "
        "says of what."
    )


def _effects_pool(table: pd.DataFrame) -> str:
    rows = table.set_index("quantity")
    if pd.isna(rows.loc["share_sat", "value"]):
        return ""
    half = rows["value"].get("share_half")
    odds = "" if half is None or pd.isna(half) else f" and {100 * half:.0f} % of that of the log-odds of transfer"
    return (
        f"One level for each model explains {100 * rows.loc['share_sat', 'value']:.0f} % of the variance of SAT{odds}; "
        f"{100 * rows.loc['share_sat', 'chance']:.0f} % would be expected by chance."
    )


def _effects_pairs(table: pd.DataFrame) -> str:
    row = _largest(table, "affinity")
    if row is None:
        return ""
    known = "affinity_low" in row and row["affinity_low"] == row["affinity_low"]
    ends = f", interval {row['affinity_low']:.2f} to {row['affinity_high']:.2f}" if known else ""
    return f"{row['model_a']} and {row['model_b']} have the largest affinity ({row['affinity']:.2f}{ends})."


def _directions_pool(table: pd.DataFrame) -> str:
    row = table.set_index("quantity").loc["ratio_above_5"]
    return f"In {row['value']:.0f} of {row['n']:.0f} pairs, one direction transfers more than 5 times as often."


def _choose_k(table: pd.DataFrame) -> str:
    words = []
    for of, part in table.groupby("of", sort=False):
        gaps = part.loc[part["largest_gap"].astype(bool), "k"]
        best = _largest(part, "silhouette")
        if best is not None and len(gaps):
            words.append(
                f"{SIMILARITIES[str(of)]}: {best['k']:.0f} by silhouette, {gaps.iloc[0]} by the largest eigengap"
            )
    return f"The best number of clusters of {'; of '.join(words)}." if words else ""


def _membership(table: pd.DataFrame, draws: str) -> str:
    words = []
    for of, part in table.groupby("of", sort=False):
        known = part["mates"].dropna()
        words.append(f"{int((known >= STEADY).sum())} of {len(known)} models by {SIMILARITIES[str(of)]}")
    return f"With other {draws}, {' and '.join(words)} keep on average at least {100 * STEADY:.0f} % of their mates."


def _agreement(table: pd.DataFrame) -> str:
    row = table[(table["first"] == "sat") & (table["second"] == "affinity")]
    if row["adjusted_rand"].notna().any():
        value = row["adjusted_rand"].iloc[0]
        return f"Clusters by SAT and by affinity agree with an adjusted Rand index of {value:.2f}."
    return ""


def _counted(what: str, p: str) -> Callable[[pd.DataFrame], str]:
    """How many of the rows differ from chance."""

    def count(table: pd.DataFrame) -> str:
        known = table[p].dropna()
        if known.empty:
            return f"No {what} can be tested."
        sure = int((known <= SURE).sum())
        verb = "differs" if sure == 1 else "differ"
        return f"{sure} of {len(known)} {what}s {verb} from chance (adjusted p ≤ {SURE})."

    return count


def _r2(table: pd.DataFrame) -> str:
    rows = table[(table["kind"] == "both_new") & table["r2"].notna()]
    words = [f"{SIMILARITIES[row.of]} with R² = {row.r2:.2f}" for row in rows.itertuples()]
    return f"For pairs of two models not seen, components predict {' and '.join(words)}." if words else ""


def _ensembles_clusters(table: pd.DataFrame) -> str:
    # The largest of many means would be chance, so the range over the numbers of clusters is said for each end.
    known = table[table["error_reduction"].notna()].groupby("size")["error_reduction"]
    words = []
    for size, part in known:
        if size in (table["size"].min(), table["size"].max()):
            low, high = (f"{100 * end:.0f}" for end in (part.min(), part.max()))
            words.append(f"{low if low == high else f'{low} to {high}'} % for {size} members")
    if not words:
        return ""
    return f"Error reduction, by number of clusters: {' and '.join(words)}."


def _separation(table: pd.DataFrame) -> str:
    best = _largest(table, "roc_auc")
    if best is None:
        return ""
    return (
        f"{opening(measure_words(best['measure']))} has the largest AUC ({best['roc_auc']:.2f}"
        f"{', levels taken out' if best['rest'] else ''}; {best['n_within']} pairs within families). Differences "
        "between measures are not tested."
    )


def _mistakes_models(table: pd.DataFrame) -> str:
    most = _largest(table, "same_share")
    if most is None:
        return ""
    return f"{most['model']} most often makes its source's mistake, in {100 * most['same_share']:.0f} % of the cases."


def _mistakes_pool(table: pd.DataFrame) -> str:
    value = table.set_index("quantity")["value"]
    if not value["fooled"] > 0:
        return "No adversarial image fools both its source and another model."
    same, by_class, by_image = (
        100 * value[key] / value["fooled"] for key in ("same", "expected_by_class", "expected_by_image")
    )
    return (
        f"{same:.0f} % of the fooled targets make their source's mistake. The true class predicts {by_class:.0f} %, "
        f"and what other models do on the same image {by_image:.0f} %."
    )


def _mistakes_relation(table: pd.DataFrame) -> str:
    row = table.set_index("quantity").loc["excess"]
    return (
        f"Shared mistakes beyond chance have a rank correlation of {row['sat_spearman']:.2f} with SAT and of "
        f"{row['affinity_spearman']:.2f} with affinity."
    )


def _stability(table: pd.DataFrame) -> str:
    rows = table[(table["statistic"] == "rank_correlation_of_replicates") & table["value"].notna()]
    words = [f"{row.value:.2f} for {SIMILARITIES[row.of]}" for row in rows.itertuples()]
    return f"Matrices of other images have a rank correlation of {' and '.join(words)}." if words else ""


def _curve(table: pd.DataFrame) -> str:
    last = table.sort_values("images").groupby("of", sort=False).last()
    words = [f"{row.mean:.2f} for {SIMILARITIES[str(row.Index)]}" for row in last.itertuples()]
    most = int(table["images"].max())
    return f"Matrices of two samples of {most:,} images have a mean rank correlation of {' and '.join(words)}."


def _retraining_pairs(table: pd.DataFrame) -> str:
    row = _largest(table.assign(spread=table["sat_highest"] - table["sat_lowest"]), "spread")
    if row is None:
        return ""
    return f"SAT varies most over the trainings of {row['net_a']} and {row['net_b']}: by {row['spread']:.2f}."


ANSWERS: Mapping[str, Callable[[pd.DataFrame], str]] = {
    "caveats": _caveats,
    "effects_pool": _effects_pool,
    "effects_pairs": _effects_pairs,
    "directions_pool": _directions_pool,
    "choose_k": _choose_k,
    "membership": lambda table: _membership(table, "random starts"),
    "stability_membership": lambda table: _membership(table, "images"),
    "clusters_agreement": _agreement,
    "groups_contrasts": _counted("contrast", "p_holm"),
    "components_contrasts": _counted("component", "p_adjusted"),
    "components_differences": _counted("difference", "p_adjusted"),
    "components_r2": _r2,
    "ensembles_clusters": _ensembles_clusters,
    "measures_separation": _separation,
    "mistakes_models": _mistakes_models,
    "mistakes_pool": _mistakes_pool,
    "mistakes_relation": _mistakes_relation,
    "stability": _stability,
    "stability_curve": _curve,
    "retraining_pairs": _retraining_pairs,
}
"""By the name of the table."""
