"""What the pipeline's tables hold. Writers do not read it, so that a better word makes no result stale.

The columns of an analysis's tables are declared beside the analysis: as `COLUMNS`, tables by name, in its module or in
a module `columns` of its package. docs/files.md is made from all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table."""

    description: str
    """What one row is."""
    columns: Mapping[str, str]
    """What each column holds, in their order. A name with `{}` stands for several columns, such as one a model."""


_INTERVAL = "end of its interval at the study's `confidence`"
_COMMON = {
    "model": "name of the model",
    "model_a": "first model of the pair, by name",
    "model_b": "second model of the pair",
    "family": "the model's family, as in the model table",
    "sat": "SAT of the pair: natural logarithm of the mean transfer success in per cent",
    "affinity": "affinity of the pair: log-odds beyond what the two models' own levels predict",
    "of": "`sat` or `affinity`: which of them the row is about",
    "n_models": "number of models",
    "n_pairs": "number of pairs of different models",
    "p": "p-value, two-sided, from permutations of models",
    "note": "why there is no value, or only some; empty otherwise",
    "rank": "rank, 1 for the largest",
    "rank_best": "best rank that the intervals allow",
    "rank_worst": "worst rank that the intervals allow",
    "tied": "whether the intervals allow another rank",
    "cluster": "number of the model's cluster; 1 is the largest",
    "quantity": "name of the quantity",
    "value": "its value",
}


def common(*names: str) -> dict[str, str]:
    """Columns that mean the same in many tables, by name."""
    return {name: _COMMON[name] for name in names}


def interval(name: str, how: str = "") -> dict[str, str]:
    """The two ends of the interval of a column."""
    told = f"{_INTERVAL}{f' ({how})' if how else ''}"
    return {f"{name}_low": f"lower {told}", f"{name}_high": f"upper {told}"}


HALF_CONTRASTS = {
    "n_values": "number of values that two models or more have",
    "n_models": "number of their models",
    **{
        f"{name}{suffix}": told
        for suffix in ("", "_equal")
        for name, told in {
            "half_contrast": "how much more alike a pair of one value is than a pair of two, in log-odds",
            "low": "lower end of its interval (jackknife over models)",
            "high": "upper end of its interval (jackknife over models)",
            "p": "p-value, two-sided, from permutations of models",
            "p_adjusted": "the same, for all rows at once",
        }.items()
    },
    **common("note"),
}
"""Columns of `sat.statistics.contrasts.overall_contrasts`."""


TEXTS = frozenset(
    (
        *("model", "model_a", "model_b", "source", "target", "teacher", "members", "net_a", "net_b"),
        *("family", "without", "base_architecture", "column", "group", "first", "second"),
        *("component", "value_a", "value_b", "variant", "variant_a", "variant_b", "measure"),
        *("name", "of", "kind", "quantity", "statistic", "relation", "by", "rule", "note", "warning"),
    )
)
"""Columns that hold text in every table, whatever it looks like: a model may be called 18, 1e5, true or NA."""
MATRICES = ("sat", "affinity")
"""Tables that are square matrices, by the names of their files."""
_TEXTS_OF = {
    **dict.fromkeys(MATRICES, frozenset({"model"})),
    "measures_pairs": frozenset({"model_a", "model_b"}),
    "components_null": frozenset({"of"}),
    "components_values": frozenset({"component", "value", "note"}),
    "ablation": frozenset({"variant", "of"}),
}
"""The same of single tables: of those in which the user names columns, and of one whose `value` is text."""


def texts_of(table: str) -> frozenset[str]:
    """Columns of a table that hold text. What its other columns hold, their cells show.

    Parameters
    ----------
    table : str
        Name of its file, without the suffix.
    """
    return _TEXTS_OF.get(table, TEXTS)


_MATRIX = {"model": "name of the row's model", "{model}": "value of the row's and the column's model"}
TABLES = {
    "images/manifest.csv": Table(
        "One row for each image of the data set.",
        {
            "id": "number of the image",
            "name": "its name in the data set",
            "label": "true class: number of the models' output",
        },
    ),
    "similarity/sat.csv": Table(
        "SAT of every two models: the natural logarithm of the mean transfer success in per cent. Symmetric; the "
        "diagonal is a model on its own images. Empty where no image is classified correctly by both.",
        _MATRIX,
    ),
    "similarity/affinity.csv": Table(
        "Affinity of every two models: log-odds of transfer beyond what the two models' own levels predict. Symmetric; "
        "the diagonal is empty.",
        _MATRIX,
    ),
    "similarity/estimated.csv": Table(
        "One row for each unordered pair of models that was not measured, the most similar first; only in a study with "
        "landmarks. Intervals cover what a measurement of the pair would give.",
        {
            "model_a": "first model, by name",
            "model_b": "second model",
            "sat": "estimate of SAT, which similarity/sat.csv holds too",
            **interval("sat", "from the errors of estimates of measured pairs"),
            "affinity": "estimate of affinity, which similarity/affinity.csv holds too",
            **interval("affinity", "from the errors of estimates of measured pairs"),
        },
    ),
    "similarity/landmarks.csv": Table(
        "One row for each model: how far estimates of its measured pairs are off, where the pair's landmark is taken "
        "for any other model; only in a study with landmarks.",
        {
            "model": "name of the model",
            "family": "its family, as in the model table",
            "landmark": "whether it is a landmark",
            "family_has_landmark": "whether any landmark is of its family",
            "n_left_out": "number of the errors",
            "error": "root of the mean square of the errors, in units of SAT",
            "unlike": "whether its estimates may be worse than their intervals say: its error is more than 1.5 times "
            "that of all models, or no landmark is of its family",
        },
    ),
    "similarity/pairs.parquet": Table(
        "One row for each ordered pair of models that was measured, a model with itself included. Counts are numbers "
        "of images, rates are shares of `n_both_correct`.",
        {
            "source": "model that the adversarial images were made on",
            "target": "model that they were shown to",
            "n_both_correct": "images whose clean version both classify correctly",
            "n_fooled": "of these, images on which the target errs when it sees the source's adversarial image",
            "n_both_fooled": "of these, images on which each fools the other; the same in both rows of a pair",
            "rate": "n_fooled / n_both_correct; empty where n_both_correct is 0",
            "rate_low": f"lower {_INTERVAL} (Wilson)",
            "rate_high": f"upper {_INTERVAL} (Wilson)",
            "n_noise": "images on which the target errs under random noise of the attack's size",
            "noise_rate": "n_noise / n_both_correct",
            "noise_low": f"lower {_INTERVAL} (Wilson)",
            "noise_high": f"upper {_INTERVAL} (Wilson)",
            "n_over_noise": "images on which the attack fools the target and noise does not",
            "n_under_noise": "images on which noise fools the target and the attack does not",
            "n_both_over": "images that count as n_over_noise in both directions",
            "n_both_under": "images that count as n_under_noise in both directions",
            "n_over_under": "images that count as n_over_noise in one direction and n_under_noise in the other",
            "noise_p": "p-value of a one-sided test that adversarial images fool no more often than noisy ones",
            "above_noise": "whether noise_p is at most half of 1 - `confidence`",
            "at_floor": "whether the mean of both directions lies below the study's `eps_s`",
        },
    ),
    "similarity/most_similar.csv": Table(
        "One row for each unordered pair of different models that was measured, the most similar first.",
        {
            "model_a": "first model, by name",
            "model_b": "second model",
            "n_both_correct": "images whose clean version both classify correctly",
            "rate": "mean transfer success of both directions, a share",
            "sat": "SAT: natural logarithm of the rate in per cent",
            "sat_low": f"lower {_INTERVAL}",
            "sat_high": f"upper {_INTERVAL}",
            "design_effect": "how far the two directions agree image by image: 2 if on every image, about 1 if they "
            "are independent",
            "at_floor": "whether the rate lies below the study's `eps_s`",
            "noise_p": "p-value of a one-sided test, over both directions, that adversarial images fool no more often "
            "than noisy ones",
            "above_noise": "whether noise_p is at most half of 1 - `confidence`",
            "noise_p_holm": "noise_p adjusted for the number of pairs (Holm)",
            "rate_ab": "transfer success of images made on model_a and shown to model_b, a share",
            "rate_ba": "the same of the other direction",
            "noise_p_ab": "noise_p of the direction from model_a to model_b",
            "noise_p_ba": "noise_p of the other direction",
            "directions_above": "how many directions are above noise by themselves: 0, 1 or 2",
            "rank": "rank, 1 for the most similar",
            "rank_best": "best rank that the intervals allow",
            "rank_worst": "worst rank that the intervals allow",
            "tied": "whether the intervals allow another rank",
        },
    ),
    "similarity/models.csv": Table(
        "One row for each model.",
        {
            "model": "name of the model",
            "family": "its family, as in the model table",
            "accuracy": "share of the evaluation images that it classifies correctly",
            "n_attacked": "attack images that it classifies correctly, and on which it was attacked",
            "whitebox": "white-box success: share of these images that fool the model itself",
            "whitebox_low": f"lower {_INTERVAL} (Wilson)",
            "whitebox_high": f"upper {_INTERVAL} (Wilson)",
            "low_whitebox": "whether whitebox is below the study's `min_whitebox`",
            "noise_rate": "share of these images on which it errs under random noise of the attack's size",
            "most_fooled_by_own": "whether no other source fools it more often than its own images do",
            "published_top1": "accuracy that the weights' authors state, in per cent; only where a model has one",
            "published_gap": "accuracy minus published_top1, in percentage points",
            "off_published": "whether the gap is larger than the study's `max_published_gap`",
            "above_published": "whether accuracy is so far above published_top1 that the evaluation images may be "
            "images that the model was trained on",
        },
    ),
}
"""By path below results/<study>/. Files of a variant lie below variants/<name>/."""
