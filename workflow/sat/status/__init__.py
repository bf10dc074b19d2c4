"""What a study takes, how far it is, and whether its results are as it asks."""
