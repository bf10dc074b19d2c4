"""The images of a study, which are sampled and brought to the canvas."""
