"""Finite-time Lyapunov exponents: growth rates of small changes of the state along a trajectory, by direction.

Letters: T steps, n the size of the state, J_t = dh_t/dh_{t-1}; "..." stands for any leading axes.
"""

import torch
from torch import Tensor

from rnnbench.diagnostics.jacobians import Matrices
from rnnbench.linear_algebra import qr


def lyapunov_spectrum(
    jacobians: Matrices, num_aligning: int = 0, begins: Tensor | None = None, num_exponents: int | None = None
) -> Tensor:
    """Compute Lyapunov exponents over the steps of a trajectory by QR decompositions.

    With J_t Q_{t-1} = Q_t R_t, the exponents are the means over t of ln |diagonal of R_t|. Their sum is exactly the
    mean of ln |det J_t|. As T grows, each exponent converges to that of the system at a rate of 1 / T. Over a finite
    time they differ from the logarithms of the product's singular values divided by T, which
    `rnnbench.diagnostics.jacobian_products` computes.

    Args:
        jacobians: T matrices (..., n, n), or one tensor (T, ..., n, n), in the order of the steps.
        num_aligning: Number of initial steps that only align the directions and are not counted; less than T.
        begins: First step of each trajectory, counted from 0, int64, broadcastable to (...); earlier steps are
            ignored. None: the first step.
        num_exponents: Compute only so many exponents, the leading ones as T grows, from random directions (the same in
            every call); None: all, from the axes of the state.

    Returns:
        (..., n) or (..., num_exponents), float64, natural logarithm per step, largest first; -inf if a Jacobian is
        singular.

    Raises:
        ValueError: No step would be counted.

    Source: Benettin et al. (1980), Meccanica 15; Geist, Parlitz and Lauterborn (1990), Progress of Theoretical
    Physics 83.
    """
    num_counted = len(jacobians) - num_aligning
    if num_counted < 1:
        raise ValueError(f"num_aligning must be less than the {len(jacobians)} steps, got {num_aligning}")
    first = jacobians[0].double()
    directions = _directions(first.shape[-1], num_exponents).to(first.device).expand(*first.shape[:-1], -1)
    total = torch.zeros_like(directions[..., 0, :])
    if begins is None:
        begins = torch.zeros((), dtype=torch.int64, device=first.device)
    initial, begins = directions, begins.expand(first.shape[:-2]).unsqueeze(-1)  # (..., 1)
    latest = int(begins.max())
    for t in range(len(jacobians)):
        directions, triangle = qr(jacobians[t].double() @ directions)
        growth = triangle.diagonal(dim1=-2, dim2=-1).abs().log()
        if t < latest:
            directions = torch.where((t >= begins).unsqueeze(-1), directions, initial)
        if t < latest + num_aligning:
            growth = torch.where(t >= begins + num_aligning, growth, 0.0)
        total = total + growth
    return (total / (num_counted - begins)).sort(dim=-1, descending=True).values


def _directions(size: int, count: int | None) -> Tensor:
    """Return orthonormal directions as columns, (n, n) or (n, count), float64."""
    if count is None or count >= size:
        return torch.eye(size, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    return qr(torch.randn(size, count, dtype=torch.float64, generator=generator))[0]
