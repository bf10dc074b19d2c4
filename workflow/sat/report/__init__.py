"""Figures, and the words at the end of a run."""
