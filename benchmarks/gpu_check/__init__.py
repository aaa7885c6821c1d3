"""Check everything that only a GPU can show: scripts/gpu_check."""
