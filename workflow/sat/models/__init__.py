"""Image classifiers: built, trained, wrapped, asked for predictions."""
