"""Image classifiers: building, training, wrapping, and predicting with them."""
