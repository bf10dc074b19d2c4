"""What the tables of this analysis hold."""

from sat.store.columns import Table, common

COLUMNS = {
    "ensembles": Table(
        "One row for each set of models whose probabilities are averaged.",
        {
            "size": "number of members",
            "members": "their names, joined by `;`",
            "member_accuracy": "mean accuracy of the members, a share",
            "accuracy": "accuracy of the ensemble, a share",
            "error_reduction": "(mean error of the members - error of the ensemble) / mean error",
            "all_wrong": "share of images on which every member errs",
            "mean_sat": "mean SAT over pairs of members",
            "mean_affinity": "mean affinity over pairs of members",
            "n_clusters": "number of clusters by SAT that the members are from",
        },
    ),
    "ensembles_clusters": Table(
        "One row for each size and number of clusters: means over sets.",
        {
            "size": "number of members",
            "n_clusters": "number of clusters by SAT that the members are from",
            "n_sets": "number of sets",
            "member_accuracy": "mean accuracy of the members, a share",
            "accuracy": "accuracy of the ensemble, a share",
            "error_reduction": "(mean error of the members - error of the ensemble) / mean error",
            "all_wrong": "share of images on which every member errs",
            "mean_sat": "mean SAT over pairs of members",
            "mean_affinity": "mean affinity over pairs of members",
        },
    ),
    "ensembles_relation": Table(
        "One row for each size, for SAT and for affinity.",
        {
            "size": "number of members",
            **common("of", "n_models"),
            "n_sets": "number of sets",
            "spearman": "rank correlation of error_reduction with the members' mean similarity; negative if unlike "
            "members gain more",
            **common("p"),
            "partial_spearman": "the same after a regression of both on which models are members",
            "partial_p": "its p-value",
        },
    ),
}
