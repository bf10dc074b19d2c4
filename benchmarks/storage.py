"""Size of adversarial sets, relative to the adversarial images as raw uint8."""

from __future__ import annotations

from math import prod
from pathlib import Path
from statistics import median

from harness import Table, tiny_project
from sat.store.hdf5 import reading


def run(repeats: int) -> Table:
    """Sizes do not vary, so nothing is repeated."""
    studies = {"tiny": tiny_project().results("tiny")}
    if (digits := Path("results/digits")).is_dir():
        studies["digits"] = digits
    rows: list[tuple[object, ...]] = []
    for study, results in studies.items():
        sets = [_measure(file) for file in sorted(results.glob("adversarial/*.h5"))]
        rows += [(study, *row, f"{share:.3f}") for *row, share in sets]
        if sets:
            rows.append((study, "median", "", "", f"{median(share for *_, share in sets):.3f}"))
    return Table(
        "storage",
        "Bytes of adversarial/<model>.h5, of them all, relative to the attacked images as raw uint8. "
        "The models of the small study are barely trained; those of digits are the real case.",
        ("study", "model", "attacked", "kB", "of raw uint8"),
        rows,
    )


def _measure(path: Path) -> tuple[str, int, str, float]:
    with reading(path) as file:
        attacked, image = int(file["attacked"][:].sum()), prod(file["perturbation"].shape[1:])
    size = path.stat().st_size
    return path.stem, attacked, f"{size / 1000:.0f}", size / (attacked * image)
