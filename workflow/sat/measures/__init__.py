"""Measures of how alike two models are, beside SAT: one module each."""
