"""What the tables of this analysis hold."""

from sat.store.columns import HALF_CONTRASTS, Table, common

COLUMNS = {
    "groups": Table(
        "One row for each group of models, and for all of them, by column of the model table.",
        {
            "column": "column of the model table",
            "kind": "`group`; `within`: all pairs of the same group; `all`: all pairs; `compare`: another matrix",
            "group": "name of the group",
            **common("n_models", "n_pairs"),
            "n_missing": "number of pairs without SAT",
            "mean": "mean SAT of the pairs",
            "low": "lower end of its interval (jackknife over models)",
            "high": "upper end of its interval (jackknife over models)",
            "difference": "mean minus that of all pairs",
            **common("p", "note"),
            "minus_compare": "mean minus that of `compare`; only with the key `compare_to`",
            **common("rank", "rank_best", "rank_worst", "tied"),
        },
    ),
    "groups_contrasts": Table(
        "One row for each two groups, and for each group and all others.",
        {
            "column": "column of the model table",
            "first": "first group",
            "second": "second group, or all others",
            "n_first": "number of models of the first",
            "n_second": "number of models of the second",
            "contrast": "mean affinity within both groups, less that across, in log-odds: W_a + W_b - 2 A_ab",
            "low": "lower end of its interval (jackknife over models)",
            "high": "upper end of its interval (jackknife over models)",
            **common("p"),
            "p_holm": "the same, adjusted for all rows of the column (Holm)",
            **common("note"),
        },
    ),
    "groups_overall": Table(
        "One row for each column of the model table. With `_equal`, every two groups weigh the same; without, "
        "as many as "
        "they have pairs.",
        {"column": "column of the model table", **HALF_CONTRASTS},
    ),
}
