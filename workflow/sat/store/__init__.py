"""Artefacts on disk: each has a sidecar that says what made it, and is checked before it is read."""
