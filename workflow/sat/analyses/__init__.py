"""From the matrix to answers: one module an analysis, pure functions over arrays and data frames."""
