"""Rescaling a square matrix to a spectral radius."""

import torch
from torch import Tensor

from rnnbench.linear_algebra import eigvals


def rescale(matrix: Tensor, spectral_radius: float) -> Tensor:
    """Multiply a matrix by the positive number that gives it a spectral radius, its largest eigenvalue modulus.

    Args:
        matrix: (n, n), float64; not changed.
        spectral_radius: >= 0; 0 gives the zero matrix.

    Returns:
        (n, n), float64, a new tensor.

    Raises:
        ValueError: The spectral radius of the matrix is 0, so rescaling cannot change it.
    """
    if spectral_radius == 0:
        return torch.zeros_like(matrix)
    own = float(eigvals(matrix).abs().max())
    if own == 0:
        raise ValueError(f"recurrent weights of spectral radius 0 cannot be rescaled to {spectral_radius}")
    return matrix * (spectral_radius / own)
