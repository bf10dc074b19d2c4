"""The tables of a study's analyses, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING

from sat.results.reading import Folder, Missing
from sat.study.spelling import did_you_mean

if TYPE_CHECKING:
    import pandas as pd


class Tables(Mapping[str, "pd.DataFrame"]):
    """Tables below analysis/, as data frames; each is read and checked when it is asked for.

    Parameters
    ----------
    folder : Folder
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def __iter__(self) -> Iterator[str]:
        return iter(name for name in self._makers() if f"analysis/{name}.csv" in self._folder)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def __getitem__(self, name: str) -> pd.DataFrame:
        """Read a table.

        Parameters
        ----------
        name : str
            Name of the file without its ending, such as ``groups``.

        Raises
        ------
        Missing
            If it is not there. The message names those that are, and says how to make it.
        SatError
            If it is not what its sidecar vouches for.
        """
        makers = self._makers()
        if name not in makers:
            raise Missing(f"no analysis makes a table {name!r}; {did_you_mean(name, makers, self._there())}")
        if name not in self:
            raise Missing(
                f"table {name!r}, which the analysis {makers[name]!r} makes: {self._why(name)} {self._there()}"
            )
        return self._folder.table(f"analysis/{name}.csv")

    def analysis(self, name: str) -> str:
        """Name of the analysis that makes a table."""
        return self._makers()[name]

    def _makers(self) -> dict[str, str]:
        """Analyses by the names of their tables."""
        return {table: name for name, unit in self._folder.study.units.analyses.items() for table in unit.tables}

    def _why(self, name: str) -> str:
        maker = self._makers()[name]
        if maker in self._folder.plan.analyses:
            return self._folder.remedy(f"analysis/{name}.csv")
        unit = self._folder.study.units.analyses[maker]
        if not unit.wanted(self._folder.study):
            return "the study's config file does not ask for this analysis; config.yaml explains its keys."
        return "the study has no such analysis, because it lacks one of " + ", ".join(unit.inputs.values()) + "."

    def _there(self) -> str:
        return f"There are {', '.join(self)}." if len(self) else "No table is there yet."

    def __repr__(self) -> str:
        return f"Tables({', '.join(self) or 'none yet'})"

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(self.analysis(name))}</td></tr>" for name in self)
        return f"<table><tr><th>table</th><th>analysis</th></tr>{rows}</table>"
