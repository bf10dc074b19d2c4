"""SAT with, and without, images that withstand their source's own attack. For figures of docs/ablation.md.

PYTHONPATH=workflow python benchmarks/unfooled.py results/ablation_digits autoattack autoattack_16
"""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
from scipy.stats import spearmanr


def main(results: Path, variants: list[str]) -> None:
    with h5py.File(results / "images/attack.h5") as file:
        label = file["label"][:]
    for variant in variants:
        attacked, errs = {}, {}
        for path in (results / "variants" / variant / "tiles").glob("*/*.h5"):
            with h5py.File(path) as file:
                names = [(s, t) for t in file["target"].asstr()[:] for s in file["source"].asstr()[:]]
                for pair, prediction in zip(names, file["prediction"][:].reshape(-1, len(label)), strict=True):
                    attacked[pair[0]], errs[pair] = prediction >= 0, prediction != label
        models = sorted(attacked)
        fooled = {model: attacked[model] & errs[model, model] for model in models}
        every, without = (sat(models, attacked, errs, kept) for kept in (attacked, fooled))
        share = {model: fooled[model].sum() / attacked[model].sum() for model in models}
        least = min(models, key=share.__getitem__)
        total, left = (sum(map(np.sum, kept.values())) for kept in (attacked, fooled))
        print(
            f"{variant}: {1 - left / total:.1%} withstand; least white-box {least}, {share[least]:.2f}; "
            f"mean SAT {every.mean():.3f} with, {without.mean():.3f} without; largest change "
            f"{(without - every).max():.2f}; rank correlation {spearmanr(every, without)[0]:.2f}"
        )


def sat(models, attacked, errs, kept):
    """SAT of every pair of models, each direction over those of the images right for both that are kept of its source.

    A model is attacked on the images that it gets right.
    """
    rate = np.zeros((len(models), len(models)))
    for row, source in enumerate(models):
        for column, target in enumerate(models):
            rate[row, column] = errs[source, target][attacked[target] & kept[source]].mean()
    above = np.triu_indices(len(models), 1)
    return np.log(np.maximum(50 * (rate + rate.T), 0.01))[above]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
