"""Measures of the similarity of two models other than SAT, each in one module."""
