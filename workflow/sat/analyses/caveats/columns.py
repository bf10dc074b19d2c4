"""What the tables of this analysis hold."""

from sat.store.columns import Table

COLUMNS = {
    "caveats": Table(
        "One row for each possible confounder.",
        {
            "of": "what is correlated: `sat` or `affinity` over pairs, or over models `source_rate` (mean rate at "
            "which a model's images fool others) or `fragility` (how easily others' images fool it)",
            "quantity": "with what: `mean_whitebox`, `accuracy_difference`, `whitebox`, `noise_rate`; `at_ceiling` is "
            "no correlation",
            "n": "number of pairs or models",
            "r": "Pearson's correlation",
            "spearman": "Spearman's correlation, of ranks",
            "share": "of at_ceiling: share of pairs that transfer on more than 90 % of the images",
            "warning": "what to doubt; empty if nothing was found",
        },
    ),
}
