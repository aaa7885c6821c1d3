"""Sweeps: planning many runs as few batched runs, running, resuming and summarizing them."""
