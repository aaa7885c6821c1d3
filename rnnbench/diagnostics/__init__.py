"""Batched computations on Jacobians, curvature and gradients that help to explain why a net learns or fails."""
