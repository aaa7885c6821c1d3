"""Optimizers: they see vectors and objectives, never a model or a task."""
