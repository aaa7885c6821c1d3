"""The training loop: updates, evaluations, records, checkpoints, for all replicas of one run together."""
