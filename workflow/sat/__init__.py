"""Similarity of image classifiers by adversarial attack transferability (SAT)."""

__version__ = "0.1.0"
