"""The finding: what a study's tables say surely, and what they leave open, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat.report.atlas.comparisons import COMPARISONS
from sat.report.atlas.statement import Statement, listed
from sat.report.wording import STEADY, p_words, support
from sat.units.analysis import SIMILARITIES

N_STATEMENTS = 5
Tables = Mapping[str, pd.DataFrame]
Floats = NDArray[np.float64]


def statements(tables: Tables, config: Mapping[str, Any]) -> list[Statement]:
    """Make all statements that follow from the tables.

    A statement is sure only if intervals do not overlap, if a p-value that is adjusted for the tests beside it is at
    most 1 - `confidence`, or if clusters are firm. All else is open.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Tables by name; those that a study lacks are missing.
    config : mapping
        Settings of the study: `confidence`, `min_whitebox`, `matrix`.

    Returns
    -------
    list of Statement
        In the order of the topics; within a topic, the largest margin first.
    """
    found: list[Statement] = []
    for topic in TOPICS:
        found += sorted(topic(tables, config), key=lambda one: -one.margin)
    return found


def surest(found: Iterable[Statement], number: int = N_STATEMENTS) -> list[Statement]:
    """Select the sure statements with the largest margins, one of each topic before a second of any.

    Parameters
    ----------
    found : iterable of Statement
        From `statements`.
    number : int

    Returns
    -------
    list of Statement
    """
    taken: dict[str, int] = {}
    ranked = []
    for place, one in enumerate(one for one in found if not one.open):
        taken[one.topic] = taken.get(one.topic, 0) + 1
        ranked.append((taken[one.topic], place, one))
    return [one for _, _, one in sorted(ranked, key=lambda entry: entry[:2])[:number]]


def _nearest(tables: Tables, config: Mapping[str, Any]) -> Iterator[Statement]:
    """Which models are each other's most similar ones."""
    if "most_similar" not in tables:
        yield Statement(
            "sat",
            "How sure any similarity is",
            "The matrix comes from a file, so no intervals are available.",
            open=True,
        )
        return
    # An estimated pair may be the more similar one, as far as its interval tells; it is never sound itself.
    pairs = pd.concat([tables[name] for name in ("most_similar", "estimated") if name in tables])
    pairs = pairs[pairs["sat"].notna()]
    names = sorted({*pairs["model_a"], *pairs["model_b"]})
    if len(names) < 3:
        return
    value, low, high = (_square(pairs, names, column) for column in ("sat", "sat_low", "sat_high"))
    sound = _square(pairs, names, "above_noise") == 1
    nearest = np.where(np.isnan(value), -np.inf, value).argmax(1)
    # The highest upper end among a model's other pairs.
    others = high.copy()
    others[np.arange(len(names)), nearest] = np.nan
    rival = np.fmax.reduce(others, 1, initial=-np.inf)
    settled = low[np.arange(len(names)), nearest] > rival
    level = f"{config['confidence']:.0%}".replace("%", " %")
    for one, other in enumerate(nearest):
        if one < other and nearest[other] == one and settled[one] and settled[other] and sound[one, other]:
            highest = max(rival[one], rival[other])
            yield Statement(
                "most_similar",
                f"{names[one]} and {names[other]} are each other's most similar models "
                f"(SAT {value[one, other]:.2f}, {level} interval {low[one, other]:.2f} to {high[one, other]:.2f}).",
                f"The intervals of all other pairs with either model end below it, the highest at {highest:.2f}.",
                margin=low[one, other] - highest,
            )
    unsettled = [name for name, known in zip(names, settled, strict=True) if not known]
    if unsettled:
        yield Statement(
            "most_similar",
            f"Which model is most similar to {listed(unsettled)}",
            "The intervals of the most similar pair and of the next ones overlap.",
            open=True,
        )


def _square(pairs: pd.DataFrame, names: list[str], column: str) -> Floats:
    """Make the symmetric matrix of a column of a table of pairs; NaN on the diagonal and where there is no pair."""
    place = {name: row for row, name in enumerate(names)}
    first, second = (pairs[key].map(place).to_numpy(int) for key in ("model_a", "model_b"))
    found = np.full((len(names), len(names)), np.nan)
    found[first, second] = found[second, first] = pairs[column].to_numpy(float)
    return found


def _clusters(tables: Tables, config: Mapping[str, Any]) -> Iterator[Statement]:
    """Whether clusters are firm."""
    if not {"clusters", "choose_k", "membership"} <= set(tables):
        return
    draws = {"random starts": tables["membership"]}
    if "stability_membership" in tables:
        draws["images"] = tables["stability_membership"]
    for (of, name), column in zip(SIMILARITIES.items(), ("cluster", "cluster_affinity"), strict=True):
        clusters = tables["clusters"][["model", column]].dropna()
        if clusters.empty:
            yield Statement("clusters", f"Which models form clusters of {name}", "Too few models have it.", open=True)
            continue
        k = int(clusters[column].max())
        mates = pd.DataFrame({key: one[one["of"] == of].set_index("model")["mates"] for key, one in draws.items()})
        least = mates.min(axis=1)
        choice = tables["choose_k"]
        firm, _ = support(choice[choice["of"] == of].set_index("k"), k, bool((least >= STEADY).all()))
        if firm.startswith("firm:"):
            yield Statement(
                "clusters",
                f"The {k} clusters of {name} are firm.",
                f"Over other {' and '.join(draws)}, every model stays with its cluster in at least "
                f"{100 * least.min():.0f} % of the draws ({firm.partition(': ')[2]}).",
                margin=least.min() - STEADY,
            )
        else:
            unsure = [str(model) for model in least.index[~(least >= STEADY)]]
            yield Statement(
                "clusters",
                f"Which models form clusters of {name}",
                f"The {k} clusters are {firm.replace(': ', ' (')}"
                + (")." if ":" in firm else ".")
                + (f" {listed(unsure)} often change clusters with other {' or '.join(draws)}." if unsure else ""),
                open=True,
            )


def _groups(tables: Tables, config: Mapping[str, Any]) -> Iterator[Statement]:
    """Whether models of one group are more alike than models of two."""
    if "groups_overall" not in tables:
        return
    alpha = 1 - config["confidence"]
    for row in tables["groups_overall"].to_dict("records"):
        column, value, p = str(row["column"]), row["half_contrast"], row["p_adjusted"]
        if p <= alpha and value > 0 and row["low"] > 0:
            yield Statement(
                "groups_overall",
                f"Models of the same {column} are more similar than models of different ones.",
                f"Half the mean contrast is {value:.2f} in log-odds, interval {row['low']:.2f} to {row['high']:.2f}; "
                f"{p_words(p)}, adjusted for all groupings.",
                margin=row["low"],
            )
        elif p == p:
            yield Statement(
                "groups_overall",
                f"Whether models of the same {column} are more similar",
                f"No such difference is shown ({p_words(p)}, interval {row['low']:.2f} to {row['high']:.2f}).",
                open=True,
            )


def _effects(tables: Tables, config: Mapping[str, Any]) -> Iterator[Statement]:
    """Which model stands out by its strength or fragility."""
    table = tables.get("effects")
    if table is None:
        return
    for quantity, sure, unsure in (
        (
            "fragility",
            "{} is the most fragile model: images made on others fool it most easily.",
            "Which model is the most fragile",
        ),
        (
            "strength",
            "{} is the strongest source: its adversarial images fool others best.",
            "Which model is the strongest source",
        ),
    ):
        known = table.dropna(subset=[quantity, f"{quantity}_low", f"{quantity}_high"])
        if len(known) < 2:
            continue
        ranked = known.sort_values(quantity, ascending=False, kind="stable")
        top, rest = ranked.iloc[0], ranked.iloc[1:]
        low, high, highest = top[f"{quantity}_low"], top[f"{quantity}_high"], rest[f"{quantity}_high"].max()
        if low > highest:
            yield Statement(
                "effects",
                sure.format(top["model"]),
                f"Its {quantity} is {top[quantity]:.2f} (interval {low:.2f} to {high:.2f}); no other interval goes "
                f"beyond {highest:.2f}.",
                margin=low - highest,
            )
        else:
            rivals = [str(name) for name in rest.loc[rest[f"{quantity}_high"] >= low, "model"]]
            yield Statement(
                "effects",
                unsure,
                f"{top['model']} is ahead, but its interval overlaps with {listed(rivals)}.",
                open=True,
            )


def _components(tables: Tables, config: Mapping[str, Any]) -> Iterator[Statement]:
    """Which components predict similarity."""
    table = tables.get("components")
    if table is None or not {"component", "of", "p_adjusted"} <= set(table):
        return
    alpha = 1 - config["confidence"]
    for of, name in SIMILARITIES.items():
        rows = table[(table["of"] == of) & table["p_adjusted"].notna()]
        known = rows[rows["p_adjusted"] <= alpha].sort_values("p_adjusted", kind="stable")
        if len(known):
            yield Statement(
                "components",
                f"{listed(list(known['component'].astype(str)))} {'help' if len(known) > 1 else 'helps'} to predict "
                f"{name}.",
                f"Largest {p_words(known['p_adjusted'].max())}, adjusted for all components.",
                margin=alpha - float(known["p_adjusted"].max()),
            )
        elif len(rows):
            yield Statement(
                "components",
                f"Which components matter for {name}",
                f"None differs from chance (smallest {p_words(rows['p_adjusted'].min())}, adjusted).",
                open=True,
            )


def _whitebox(tables: Tables, config: Mapping[str, Any]) -> Iterator[Statement]:
    """Whether the attack fools its own models."""
    table = tables.get("models")
    if table is None or "whitebox_low" not in table:
        return
    least = config["min_whitebox"]
    below = table[table["whitebox_high"] < least]
    unsure = table[(table["whitebox_low"] < least) & (table["whitebox_high"] >= least)]
    if len(below):
        yield Statement(
            "models",
            f"White-box success is below {least:g} for {listed(list(below['model']))}, so a stronger attack would "
            f"raise {'its' if len(below) == 1 else 'their'} rates as {'a source' if len(below) == 1 else 'sources'}.",
            f"{'The interval ends' if len(below) == 1 else 'All their intervals end'} below {least:g}.",
            margin=least - float(below["whitebox_high"].max()),
        )
    elif not len(unsure) and len(table):
        worst = table.loc[table["whitebox_low"].idxmin()]
        yield Statement(
            "models",
            f"The attack fools every model on which it is made, on at least {100 * worst['whitebox_low']:.0f} % of "
            "the images.",
            f"That is the lowest end of any interval of white-box success ({worst['model']}); the study asks for "
            f"{100 * least:.0f} %.",
            margin=float(worst["whitebox_low"]) - least,
        )
    if len(unsure):
        yield Statement(
            "models",
            f"Whether the attack is strong enough on {listed(list(unsure['model']))}",
            f"The interval of white-box success contains {least:g}.",
            open=True,
        )


def _noise(tables: Tables, config: Mapping[str, Any]) -> Iterator[Statement]:
    """How many pairs transfer at all."""
    pairs = tables.get("most_similar")
    if pairs is None or "noise_p_holm" not in pairs:
        return
    pairs = pairs[pairs["sat"].notna()]
    if pairs.empty:
        return
    above = int((pairs["noise_p_holm"] <= (1 - config["confidence"]) / 2).sum())
    if above:
        which = "All" if above == len(pairs) else f"{above:,} of"
        yield Statement(
            "most_similar_noise",
            f"{which} {len(pairs):,} pairs of models are fooled by each other's adversarial images more often than by "
            "random noise of the same size.",
            "A one-sided test of each pair, with Holm's adjustment for the number of pairs.",
            margin=above / len(pairs),
        )
    if above < len(pairs):
        yield Statement(
            "most_similar_noise",
            f"Whether adversarial images transfer at all between the other {len(pairs) - above:,} pairs",
            "Random noise of the same size may fool these models as often.",
            open=True,
        )


def _measures(tables: Tables, config: Mapping[str, Any]) -> Iterator[Statement]:
    """Whether other measures see what affinity sees; affinity is free of each model's own level."""
    yield from _related(
        tables.get("measures"),
        config,
        "measures",
        of="affinity",
        name="measure",
        r="spearman",
        p="mantel_p",
        words="Affinity goes with the measure {}",
        unsure="Whether affinity goes with {}",
    )


def _mistakes(tables: Tables, config: Mapping[str, Any]) -> Iterator[Statement]:
    """How often a fooled target makes its source's mistake."""
    pool = tables.get("mistakes_pool")
    if pool is None:
        return
    value = pool.set_index("quantity")["value"]
    fooled, same, chance = value["fooled"], value["same"], value["expected_by_class"]
    if fooled and same > 0 and (pairs := tables.get("mistakes")) is not None:
        above = pairs[(pairs["p_holm"] <= 1 - config["confidence"]) & (pairs["excess"] > 0)]
        known = int(pairs["p_holm"].notna().sum())
        if len(above):
            yield Statement(
                "mistakes",
                f"Fooled models tend to make their source's mistake: they predict the same wrong class in "
                f"{100 * same / fooled:.0f} % of the cases; {100 * chance / fooled:.0f} % would be expected from the "
                "true class.",
                f"{len(above):,} of {known:,} pairs share more mistakes than expected, by Holm's test.",
                margin=len(above) / known,
            )
        elif known:
            yield Statement(
                "mistakes",
                "Whether fooled models make their source's mistake",
                "No pair shares more mistakes than expected from the true class.",
                open=True,
            )


def _ensembles(tables: Tables, config: Mapping[str, Any]) -> Iterator[Statement]:
    """Whether ensembles of dissimilar models remove more errors."""
    table = tables.get("ensembles_relation")
    if table is None:
        return
    rows = table[(table["of"] == "affinity") & table["partial_p"].notna()]
    if rows.empty:
        return
    # The sizes are tests on the same models, so the largest p counts after an adjustment for their number.
    adjusted = (rows["partial_p"] * len(rows)).clip(upper=1)
    if (adjusted <= 1 - config["confidence"]).all() and (rows["partial_spearman"] < 0).all():
        weakest, strongest = rows["partial_spearman"].max(), rows["partial_spearman"].min()
        yield Statement(
            "ensembles_relation",
            "Ensembles of less similar models remove more of their members' errors.",
            f"Rank correlation with affinity from {strongest:.2f} to {weakest:.2f} for "
            f"{listed([str(size) for size in rows['size']])} members, given which models are members; largest "
            f"{p_words(adjusted.max())}, adjusted for the number of sizes.",
            margin=-float(weakest),
        )
    else:
        yield Statement(
            "ensembles_relation",
            "Whether ensembles of less similar models remove more errors",
            f"It is not shown for every size of ensembles (largest {p_words(adjusted.max())}, adjusted).",
            open=True,
        )


def _related(
    table: pd.DataFrame | None,
    config: Mapping[str, Any],
    topic: str,
    *,
    of: str,
    name: str,
    r: str,
    p: str,
    words: str,
    unsure: str,
) -> Iterator[Statement]:
    """State correlations whose p is small after Bonferroni's adjustment for the rows of the table."""
    if table is None:
        return
    rows = table[(table["of"] == of) & table[p].notna()]
    adjusted = (rows[p] * len(rows)).clip(upper=1)
    known = adjusted <= 1 - config["confidence"]
    if known.any():
        best = rows.loc[rows.loc[known, r].abs().idxmax()]
        yield Statement(
            topic,
            words.format(best[name]) + f" (rank correlation {best[r]:.2f}).",
            f"{p_words(adjusted[best.name])} after adjustment for {len(rows)} measures, from permutations of models.",
            margin=abs(float(best[r])),
        )
    if not known.all():
        yield Statement(
            topic,
            unsure.format(listed([str(which) for which in rows.loc[~known, name]])),
            f"No relation is shown (smallest {p_words(adjusted[~known].min())}, adjusted).",
            open=True,
        )


TOPICS = (
    *(_nearest, _clusters, _groups, _effects, _components),
    *(_whitebox, _noise, _measures, _mistakes, _ensembles),
    *COMPARISONS,
)
"""What is asked of every study, in the order in which people ask."""
