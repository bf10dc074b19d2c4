"""Attacks on models, and every model tried on every other model's adversarial images."""
