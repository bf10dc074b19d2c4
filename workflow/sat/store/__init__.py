"""Artefacts on disk: written once, read with suspicion, each with a sidecar that says what made it."""
