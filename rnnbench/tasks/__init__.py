"""Tasks: sources of batches, each with a loss and a criterion for being solved. This package imports no torch."""
