"""Arithmetic that explains why a net learns or does not: Jacobians, curvature, gradients; pure functions of tensors."""
