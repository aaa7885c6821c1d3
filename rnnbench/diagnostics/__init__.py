"""Arithmetic that says why a net learns or does not: Jacobians, curvature, gradients; on given tensors, batched."""
