"""Measurements of a net during training: gradients, state gradients, Jacobians, recurrent weights, curvature."""
