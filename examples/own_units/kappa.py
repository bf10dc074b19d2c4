"""Cohen's kappa of the predicted classes: agreement beyond that of chance."""

from sat.units.measure import Measure

UNIT = Measure(needs="prediction", title="agreement beyond chance\n(Cohen's kappa)")


def run(arrays, labels):
    """Compare every two models: `arrays` holds one array of predicted classes, int (n,), for each."""
    from itertools import combinations

    import numpy as np
    from sklearn.metrics import cohen_kappa_score

    predicted = [array[:] for array in arrays]
    square = np.eye(len(predicted))
    for a, b in combinations(range(len(predicted)), 2):
        square[a, b] = square[b, a] = cohen_kappa_score(predicted[a], predicted[b])
    return square
