"""What the tables of this analysis hold."""

from sat.store.columns import Table, common

COLUMNS = {
    "directions": Table(
        "One row for each pair of different models, the most unequal directions first. `_ab` is the direction "
        "from model_a, "
        "on which images are made, to model_b, which is shown them; `_ba` is the other.",
        {
            **common("model_a", "model_b", "sat"),
            "n_both_correct": "images whose clean version both classify correctly",
            "noise_p": "p-value of a one-sided test, over both directions, that adversarial images fool no more often "
            "than noisy ones",
            "noise_p_holm": "the same, adjusted for the number of pairs (Holm)",
            "rate_{}": "transfer success of the direction, a share",
            "rate_low_{}": "lower end of its interval (Wilson)",
            "rate_high_{}": "upper end of its interval (Wilson)",
            "noise_rate_{}": "share of these images on which the target errs under random noise of the same size",
            "noise_p_{}": "p-value of the direction by itself",
            "noise_p_holm_{}": "the same, adjusted for the number of directions (Holm)",
            "ratio": "larger rate over the smaller, half an image added to both",
        },
    ),
    "directions_pool": Table(
        "One row for each quantity of all pairs.",
        {
            "quantity": "numbers of pairs or directions above noise (`holm`: after adjustment), or whose rates "
            "differ by "
            "more than 5 or 10 times; rank correlation of SAT with the larger and the smaller rate; correlation of the "
            "two directions' log-odds, before and after strengths and fragilities are taken out (`rests`)",
            **common("value"),
            "n": "number of pairs or directions that it is about",
        },
    ),
}
