"""Losses of batches as functions of theta: values, gradients, Gauss-Newton products, and solvers for them."""
