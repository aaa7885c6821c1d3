"""Losses of batches as functions of theta: gradients, Gauss-Newton and Hessian products, conjugate gradients."""
