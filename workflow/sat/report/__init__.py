"""The style of figures, and small panels."""
