"""The finding: what a study's tables say surely, and what they leave open, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat.report.atlas.comparisons import COMPARISONS
from sat.report.atlas.statement import Statement, listed
from sat.report.wording import STEADY, measure_words, p_words, support
from sat.text import LOW_WHITEBOX
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
    """Select sure statements in the order of the topics, one of each topic before a second of any.

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
            "No similarity has an interval.",
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
    level = f"{100 * config['confidence']:g} %"
    for one, other in enumerate(nearest):
        if one < other and nearest[other] == one and settled[one] and settled[other] and sound[one, other]:
            highest = max(rival[one], rival[other])
            yield Statement(
                "most_similar",
                f"{names[one]} and {names[other]} are each other's most similar models "
                f"(SAT {value[one, other]:.2f}, {level} interval {low[one, other]:.2f} to {high[one, other]:.2f}).",
                f"The intervals of all other pairs with either model end below it, the highest at {highest:.2f}.",
                # The most similar pair is said first.
                margin=value[one, other],
            )
    unsettled = [name for name, known in zip(names, settled, strict=True) if not known]
    if unsettled:
        yield Statement(
            "most_similar",
            f"The most similar model of {listed(unsettled)} is not certain.",
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
            yield Statement("clusters", f"There are no clusters of {name}.", "Too few models have it.", open=True)
            continue
        k = int(clusters[column].max())
        mates = pd.DataFrame({key: one[one["of"] == of].set_index("model")["mates"] for key, one in draws.items()})
        least = mates.min(axis=1)
        choice = tables["choose_k"]
        firm, choices = support(choice[choice["of"] == of].set_index("k"), k, bool((least >= STEADY).all()))
        alone = ", or it stays alone as often" if (clusters[column].value_counts() == 1).any() else ""
        if firm.startswith("firm:"):
            yield Statement(
                "clusters",
                f"The {k} clusters of {name} (k = {k}, as configured) are stable over {' and '.join(draws)}.",
                f"On average, at least {100 * least.min():.0f} % of a model's cluster mates stay with it{alone} "
                f"({firm.partition(': ')[2]}). Number of clusters: {choices}. This "
                "does not say what other trainings of the models would give.",
                margin=least.min() - STEADY,
            )
        else:
            unsure = [str(model) for model in least.index[~(least >= STEADY)]]
            yield Statement(
                "clusters",
                f"Clusters of {name} are not reliable.",
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
                f"In this pool, models of the same {column} are more alike than models of different ones, beyond what "
                "their own levels predict.",
                f"Half the mean contrast is {value:.2f} in log-odds, interval {row['low']:.2f} to {row['high']:.2f} "
                f"over models; {p_words(p)}, adjusted for all groupings ({row['n_models']} models, {row['n_values']} "
                "groups)."
                + _equally(row)
                + " Such models may share other things, such as settings of their training: this does not tell which "
                "of these makes them alike.",
                margin=row["low"],
            )
        elif p == p:
            yield Statement(
                "groups_overall",
                f"Models of the same {column} are not shown to be more similar.",
                f"No such difference is shown ({p_words(p)}, interval {row['low']:.2f} to {row['high']:.2f}).",
                open=True,
            )


def _equally(row: Mapping[str, Any]) -> str:
    """Say what the contrast is if every two groups weigh the same; empty if that has no interval."""
    if pd.isna(row["low_equal"]):
        return ""
    low, high = row["low_equal"], row["high_equal"]
    return (
        f" If every two groups weigh the same, it is {row['half_contrast_equal']:.2f} ({low:.2f} to {high:.2f}"
        f"{', which contains 0' if low <= 0 <= high else ''})."
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
            "The most fragile model is not certain.",
        ),
        (
            "strength",
            "{} is the strongest source: its adversarial images fool others best.",
            "The strongest source is not certain.",
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
                f"beyond {highest:.2f}." + (_noisiest(tables, top["model"]) if quantity == "fragility" else ""),
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


def _noisiest(tables: Tables, model: str) -> str:
    """Say of a fragile model that it errs most under noise, too; empty if it does not."""
    models = tables.get("models")
    if models is None or "noise_rate" not in models:
        return ""
    rate = models.set_index("model")["noise_rate"]
    if not (rate[model] > rate.drop(model)).all():
        return ""
    return f" It also makes the most errors under random noise of the same size ({100 * rate[model]:.1f} %)."


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
                f"No component is shown to matter for {name}.",
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
            f"White-box success is below {least:g} for {listed(list(below['model']))}: {LOW_WHITEBOX}.",
            f"{'The interval ends' if len(below) == 1 else 'All their intervals end'} below {least:g}.",
            margin=least - float(below["whitebox_high"].max()),
        )
    elif not len(unsure) and len(table):
        worst, lowest = (table.loc[table[column].idxmin()] for column in ("whitebox_low", "whitebox"))
        yield Statement(
            "models",
            f"Every model's own attack fools it on at least {100 * lowest['whitebox']:.0f} % of its images.",
            f"White-box success is lowest for {lowest['model']}. The lowest end of any interval is "
            f"{100 * worst['whitebox_low']:.0f} % ({worst['model']}), and the study asks for {100 * least:.0f} %.",
            margin=float(worst["whitebox_low"]) - least,
        )
    if len(unsure):
        yield Statement(
            "models",
            f"White-box success may be below {least:g} for {listed(list(unsure['model']))}.",
            f"{'Its interval contains' if len(unsure) == 1 else 'Their intervals contain'} {least:g}.",
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
    level = (1 - config["confidence"]) / 2
    kept = pairs[pairs["noise_p_holm"] <= level]
    above, one = len(kept), int((kept["directions_above"] == 1).sum())
    if above:
        which = "all" if above == len(pairs) else f"{above:,} of"
        alone = "one of them" if one == 1 else f"{one:,} of them"
        yield Statement(
            "most_similar_noise",
            f"In {which} {len(pairs):,} pairs of models, adversarial images fool more often than random noise of the "
            "same size, over both directions together.",
            (f"In {alone}, only one direction does so by itself. " if one else "")
            + f"A one-sided test of each pair at {level:.3g}, with Holm's adjustment for the number of pairs.",
            margin=above / len(pairs),
        )
    if above < len(pairs):
        yield Statement(
            "most_similar_noise",
            (f"For the other {len(pairs) - above:,} pairs" if above else "For all pairs") + ", transfer is not shown.",
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
        words="Affinity correlates {} with {}",
        unsure="No correlation of affinity with {} is shown.",
    )


def _mistakes(tables: Tables, config: Mapping[str, Any]) -> Iterator[Statement]:
    """How often a fooled target makes its source's mistake."""
    pool = tables.get("mistakes_pool")
    if pool is None:
        return
    value = pool.set_index("quantity")["value"]
    fooled, same, chance, image = (value[key] for key in ("fooled", "same", "expected_by_class", "expected_by_image"))
    if fooled and same > 0 and (pairs := tables.get("mistakes")) is not None:
        above = pairs[(pairs["p_holm"] <= 1 - config["confidence"]) & (pairs["excess"] > 0)]
        known = int(pairs["p_holm"].notna().sum())
        more, fewer = int((pairs["excess_image_low"] > 0).sum()), int((pairs["excess_image_high"] < 0).sum())
        if len(above):
            yield Statement(
                "mistakes",
                f"Fooled models tend to make their source's mistake: they predict the same wrong class in "
                f"{100 * same / fooled:.0f} % of the cases. The true class predicts {100 * chance / fooled:.0f} %, and "
                f"what other models do on the same image {100 * image / fooled:.0f} %.",
                f"{len(above):,} of {known:,} pairs share more mistakes than the true class predicts, by Holm's test. "
                f"By the interval of each, {more:,} share{'s' if more == 1 else ''} more than the image predicts, and "
                f"{fewer:,} fewer.",
                margin=len(above) / known,
            )
        elif known:
            yield Statement(
                "mistakes",
                "Fooled models are not shown to make their source's mistake.",
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
            f"{listed([str(size) for size in rows['size']])} members, after the effects of single models are removed; "
            f"largest {p_words(adjusted.max())}, adjusted for the number of sizes. It does not follow that a set "
            "chosen by this is better than the most accurate models; the command sat recommend ensemble compares them.",
            margin=-float(weakest),
        )
    else:
        yield Statement(
            "ensembles_relation",
            "Ensembles of less similar models are not shown to remove more errors.",
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
            words.format("positively" if best[r] > 0 else "negatively", measure_words(str(best[name])))
            + f" (rank correlation {best[r]:.2f}).",
            f"{p_words(adjusted[best.name])} after adjustment for {len(rows)} measures, from permutations of models.",
            margin=abs(float(best[r])),
        )
    if not known.all():
        yield Statement(
            topic,
            unsure.format(listed([measure_words(str(which)) for which in rows.loc[~known, name]])),
            f"Smallest {p_words(adjusted[~known].min())}, adjusted.",
            open=True,
        )


TOPICS = (
    *(_nearest, _clusters, _groups, _effects, _components),
    *(_whitebox, _noise, _measures, _mistakes, _ensembles),
    *COMPARISONS,
)
"""What is asked of every study, in the order in which people ask."""
