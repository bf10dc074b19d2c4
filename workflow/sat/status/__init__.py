"""What a study takes, how far it is, and whether its results are those that it asks for."""
