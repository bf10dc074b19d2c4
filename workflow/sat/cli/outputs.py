"""What the analyses' commands share: figures.

Apart from cli/common.py, so that a change of a figure is none of the attack's code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sat.store.artefact import Job

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_figure(job: Job, path: str, figure: Figure, **facts: Any) -> None:
    """Write a figure as SVG with its sidecar."""
    from sat.report.style import save
    from sat.store.files import replacing

    with replacing(path) as temporary:
        save(figure, temporary)
    job.finish(path, **facts)
