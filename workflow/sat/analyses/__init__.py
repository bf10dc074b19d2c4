"""The analyses: each a unit that makes tables and figures of a study's results; see `sat.units`."""
