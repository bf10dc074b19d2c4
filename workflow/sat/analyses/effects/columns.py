"""What the tables of this analysis hold."""

from sat.store.columns import Table, common, interval

COLUMNS = {
    "effects": Table(
        "One row for each model.",
        {
            **common("model", "family"),
            "effect": "half of the model's own level in the mean log-odds of both directions",
            "strength": "how well its adversarial images fool the others, in log-odds; 0 is the mean model",
            **interval("strength", "choice of images"),
            "fragility": "how easily others' adversarial images fool it, in log-odds; 0 is the mean model",
            **interval("fragility", "choice of images"),
        },
    ),
    "effects_pool": Table(
        "One row for each quantity of the whole matrix.",
        {
            "quantity": "`share_sat` and `share_half`: shares of the variance of SAT, and of the mean log-odds of both "
            "directions, that one effect of each model explains; `level`: the mean log-odds; `reliability`: share of "
            "the variance of affinity that is not the choice of images",
            **common("value"),
            "chance": "share that would be explained if no model had an effect",
        },
    ),
    "effects_pairs": Table(
        "One row for each pair of different models, the most alike by affinity first.",
        {
            **common("model_a", "model_b", "sat"),
            "expected": "log-odds that the two models' own effects predict",
            **common("affinity"),
            **interval("affinity", "choice of images"),
            "affinity_block": "affinity where each family has a boost of its own in the regression",
            "largest_change": "largest change of the affinity when the models of another family leave the pool",
            "without": "that family",
        },
    ),
}
