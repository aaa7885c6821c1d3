"""Finite-time Lyapunov exponents: how fast small changes of the state grow along a trajectory, direction by direction.

Letters: T steps, n the size of the state, J_t = dh_t/dh_{t-1}, ... any leading axes.
"""

import torch
from torch import Tensor

from rnnbench.diagnostics.jacobians import Matrices
from rnnbench.linear_algebra import qr


def lyapunov_spectrum(jacobians: Matrices, num_aligning: int = 0, begins: Tensor | None = None) -> Tensor:
    """Lyapunov exponents over the steps of a trajectory, by QR: J_t Q_{t-1} = Q_t R_t, mean of ln |diagonal of R_t|.

    Their sum is the mean of ln |det J_t|, exactly. Each single one tends to the exponent of the system as T grows, at
    a rate of 1 / T; over a finite time they are not the logarithms of the product's singular values over T, which
    `rnnbench.diagnostics.jacobian_products` gives.

    Args:
        jacobians: T of (..., n, n), or (T, ..., n, n), in the order of the steps.
        num_aligning: Steps at the start that only turn the directions, and do not count; below T.
        begins: Step, counted from 0, with which each trajectory begins, of a shape that fits (...), int64; what comes
            before is not looked at. None: the first.

    Returns:
        (..., n), float64, natural logarithm per step, largest first; -inf where a Jacobian is singular.

    Raises:
        ValueError: No step would count.

    Source: Benettin et al. (1980), Meccanica 15; Geist, Parlitz and Lauterborn (1990), Progress of Theoretical
    Physics 83.
    """
    num_counted = len(jacobians) - num_aligning
    if num_counted < 1:
        raise ValueError(f"of {len(jacobians)} steps {num_aligning} only align: none is left to count")
    first = jacobians[0].double()
    directions = torch.eye(first.shape[-1], dtype=first.dtype, device=first.device).expand(first.shape)
    total = torch.zeros(first.shape[:-1], dtype=first.dtype, device=first.device)
    if begins is None:
        begins = torch.zeros((), dtype=torch.int64, device=first.device)
    identity, begins = directions, begins.expand(first.shape[:-2]).unsqueeze(-1)  # (..., 1)
    latest = int(begins.max())
    for t in range(len(jacobians)):
        directions, triangle = qr(jacobians[t].double() @ directions)
        growth = triangle.diagonal(dim1=-2, dim2=-1).abs().log()
        if t < latest:
            directions = torch.where((t >= begins).unsqueeze(-1), directions, identity)
        if t < latest + num_aligning:
            growth = torch.where(t >= begins + num_aligning, growth, 0.0)
        total = total + growth
    return (total / (num_counted - begins)).sort(dim=-1, descending=True).values
