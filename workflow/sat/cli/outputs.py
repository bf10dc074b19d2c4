"""What the analyses' commands share: matrices of the user's, and figures.

Apart from cli/common.py, so that a change of a figure is none of the attack's code.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from sat.store.artefact import Job

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def read_user_matrix(path: str, digest: str | None, names: Collection[str] | None = None) -> pd.DataFrame:
    """Read a SAT matrix of the user's, and check it.

    Parameters
    ----------
    path : str
        CSV file: model names as header and first column. One of another
        study, which its sidecar tells, may have pairs without SAT.
    digest : str
        What its SHA-256 was when Snakemake started.
    names : collection of str, optional
        Models that it must have.

    Returns
    -------
    DataFrame, shape (n, n)

    Raises
    ------
    SatError
        If it has changed, is not what its sidecar says, or is no SAT matrix; names the cells.
    """
    from sat.analysis.reference import check_matrix
    from sat.errors import SatError
    from sat.store.artefact import check_content, file_digest, read_sidecar, sidecar_path
    from sat.store.tables import read_table

    if file_digest(path) != digest:
        raise SatError(f"{path}: has changed since Snakemake started; run it again.")
    frame = read_table(path)
    matrix = frame.set_index(frame.columns[0]).rename_axis(None)
    if sidecar_path(path).is_file():
        check_content(path, read_sidecar(path))
    elif faults := check_matrix(matrix, names):
        raise SatError(f"{path}: is no SAT matrix: {'; '.join(faults)}.")
    return matrix


def write_figure(job: Job, path: str, figure: Figure, **facts: Any) -> None:
    """Write a figure as SVG with its sidecar."""
    from sat.report.figures import save
    from sat.store.artefact import replacing

    with replacing(path) as temporary:
        save(figure, temporary)
    job.finish(path, **facts)
