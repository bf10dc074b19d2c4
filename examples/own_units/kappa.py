"""Cohen's kappa of the predicted classes: agreement beyond that of chance."""

from sat.units.measure import Measure

UNIT = Measure(needs="prediction", title="agreement beyond chance\n(Cohen's kappa)")


def run(arrays, labels):
    """Compare every two models: `arrays` holds one array of predicted classes, int (n,), for each."""
    from itertools import combinations

    import numpy as np
    from sklearn.metrics import cohen_kappa_score

    predicted = [array[:] for array in arrays]
    square = np.ones((len(predicted), len(predicted)))
    for a, b in combinations(range(len(predicted)), 2):
        # Two models that always name one and the same class have no kappa. They agree.
        if (predicted[a] != predicted[b]).any():
            square[a, b] = square[b, a] = cohen_kappa_score(predicted[a], predicted[b])
    return square
