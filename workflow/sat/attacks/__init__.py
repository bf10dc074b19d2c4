"""Attacks on models, and the evaluation of every model on every other model's adversarial images."""
