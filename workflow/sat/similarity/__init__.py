"""From predictions to the pair table, the matrix, and how sure both are."""
