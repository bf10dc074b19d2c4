"""What the tables of this analysis hold."""

from sat.store.columns import Table, common, interval

COLUMNS = {
    "mistakes": Table(
        "One row for each pair of different models. `_ab` is the direction from model_a to model_b, `_ba` the other. "
        "Counts are numbers of images.",
        {
            **common("model_a", "model_b"),
            "n_{}": "images that both classify correctly and that fool their source",
            "fooled_{}": "of these, images that fool the target too",
            "same_{}": "of these, images to which both give the same wrong class",
            "same_share": "same / fooled, both directions together",
            "targeted_rate": "same / n, both directions together",
            "excess": "share of same wrong classes beyond what the true class explains: 0 is chance, 1 is always",
            **interval("excess", "choice of images"),
            "p": "p-value, one-sided, of no more same wrong classes than the true class explains",
            "p_holm": "the same, adjusted for the number of pairs (Holm)",
            "excess_image": "share of same wrong classes beyond what other models' mistakes on the same image explain",
            **interval("excess_image", "choice of images"),
            "both_fooled": "images that transfer in both directions",
            "both_by_rates": "their expected number if the directions were independent",
            "both_by_images": "their expected number if images differ in how easily they transfer",
        },
    ),
    "mistakes_models": Table(
        "One row for each model.",
        {
            **common("model", "family"),
            "n": "images of all sources that both classify correctly and that fool their source",
            "fooled": "of these, images that fool the model as a target too",
            "same": "of these, images to which both give the same wrong class",
            "same_share": "same / fooled",
            "own_share": "share of the fooled images to which the model gives the wrong class of its own attack",
            "excess_{}": "excess (see `mistakes`) of the model as a target, and as a source",
            "excess_image_{}": "excess_image (see `mistakes`) of the model as a target, and as a source",
        },
    ),
    "mistakes_pool": Table(
        "One row for each quantity of all pairs.",
        {
            "quantity": "counts of `mistakes` over all pairs, their expectations and excesses, and `image_share`: the "
            "share of transfers in both directions beyond independence that the images' difficulty explains",
            **common("value"),
        },
    ),
    "mistakes_relation": Table(
        "One row for each quantity of shared mistakes.",
        {
            "quantity": "column of `mistakes`",
            **common("n_models", "n_pairs"),
            "sat_spearman": "rank correlation with SAT over pairs",
            "sat_p": "its p-value, two-sided (Mantel)",
            "affinity_spearman": "rank correlation with affinity of what is left without one effect of each model",
            "affinity_p": "its p-value, two-sided (Mantel)",
            "roc_auc": "how often a pair within a family has more than one across families",
            "roc_auc_rest": "the same after each model's effect is taken out",
        },
    ),
}
