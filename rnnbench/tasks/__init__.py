"""Tasks: sources of batches, each with a loss and a rule that says when it is solved. Importing it needs no torch."""
