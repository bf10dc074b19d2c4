"""The Python interface: a study's results as data frames, labelled arrays and models."""

from sat.results.opening import open_study
from sat.results.study import StudyResults

__all__ = ["StudyResults", "open_study"]
