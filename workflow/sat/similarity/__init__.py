"""From predictions to the pair table and the SAT matrix, with the uncertainty of both."""
