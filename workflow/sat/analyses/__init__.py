"""The analyses. Each is a unit that makes tables and figures from a study's results; see `sat.units`."""
