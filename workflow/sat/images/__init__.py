"""The images of a study: sampled, and brought to the canvas."""
