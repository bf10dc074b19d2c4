"""Where the results of a study are, seen from the folder of a call."""

from __future__ import annotations

from pathlib import Path

from sat.store.user_files import REGISTRY


def places_of_results(name: str, file: Path) -> list[Path]:
    """Find the folders whose results/<study>/ holds anything that a run has made.

    Parameters
    ----------
    name : str
        Name of the study.
    file : Path
        Its config file.

    Returns
    -------
    list of Path
        The current folder and those above it, then the folder of the config file and those above it.
    """
    here, beside = Path.cwd(), file.resolve().parent
    return [folder for folder in (here, *here.parents, beside, *beside.parents) if _holds(folder / "results" / name)]


def _holds(results: Path) -> bool:
    # Dry runs of earlier versions wrote the digests of the user's files, and nothing else.
    return results.is_dir() and any(path.name != REGISTRY for path in results.iterdir())
