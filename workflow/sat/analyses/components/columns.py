"""What the tables of this analysis hold."""

from sat.store.columns import HALF_CONTRASTS, Table, common

COLUMNS = {
    "components": Table(
        "One row for each component, for SAT and for affinity, the most important first.",
        {
            **common("of"),
            "component": "name of the component",
            "importance": "how much R2 falls when the component is shuffled among pairs; in sample",
            "low": "5 % point over splits by models",
            "high": "95 % point over splits by models",
            **common("rank", "rank_best", "rank_worst", "tied"),
            "p": "share of permutations of the components in which it is at least as important",
            "p_adjusted": "the same, for all components at once",
            "null_high": "95 % point of its importance under permutation",
            "held_out": "its importance for pairs of two models that the regression has not seen",
            "held_out_low": "5 % point over splits by models",
            "held_out_high": "95 % point over splits by models",
            **common("note"),
        },
    ),
    "components_contrasts": Table(
        "One row for each component. With `_equal`, every two values weigh the same; without, as many as they "
        "have pairs.",
        {"component": "name of the component", **HALF_CONTRASTS},
    ),
    "components_r2": Table(
        "One row for each kind of pairs, for SAT and for affinity.",
        {
            **common("of"),
            "kind": "`in_sample`; held-out `pairs`; pairs with `one_new` or `both_new` models; `null`: permuted "
            "components",
            "r2": "R2 of the regression on components",
            "low": "5 % point over splits or permutations",
            "high": "95 % point over splits or permutations",
            "n": "number of splits or permutations",
            **common("note"),
        },
    ),
    "components_differences": Table(
        "One row for each component, for SAT and for affinity.",
        {
            **common("of"),
            "component": "name of the component",
            "n_values": "number of its values",
            "n_models": "number of models whose value is known",
            "n_same": "number of pairs with the same value",
            "n_differ": "number of pairs with different values",
            "mean_same": "mean of pairs with the same value",
            "mean_differ": "mean of pairs with different values",
            "difference": "mean_same - mean_differ",
            **common("p"),
            "p_adjusted": "the same, for all components at once",
            **common("note"),
        },
    ),
    "components_values": Table(
        "One row for each value of each component; of SAT.",
        {
            "component": "name of the component",
            "value": "the value",
            "n_models": "number of models with it",
            "n_same": "number of pairs of which both have it",
            "n_crossing": "number of pairs of which one has it",
            "mean_same": "mean SAT of pairs of which both have it",
            "mean_crossing": "mean SAT of pairs of which one has it",
            "difference": "mean_same - mean_crossing",
            **common("p"),
            "p_adjusted": "the same, for all values at once",
            **common("note"),
        },
    ),
    "components_blocks": Table(
        "One row for each two values of each component; of SAT.",
        {
            "component": "name of the component",
            "value_a": "first value",
            "value_b": "second value, which may be the same",
            **common("n_pairs"),
            "mean": "mean SAT of these pairs",
        },
    ),
}
