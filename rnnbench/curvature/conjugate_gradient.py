"""Conjugate gradients for many replicas in lockstep, stopped by relative progress.

Letters: R replicas, P parameters of one replica. All vectors and dot products are float64: with a few thousand
parameters that costs nothing beside the products, and float32 loses conjugacy after about a hundred iterations.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

MIN_PROGRESS_WINDOW = 10
"""Relative progress is taken over max(10, 0.1 i) iterations (Martens 2010, section 4.4)."""

ITERATE_GAP = 1.3
"""Iterates are kept at iterations that grow by this factor (Martens 2010, section 4.6)."""

SMALLEST_RESIDUAL = 1e-10
"""Norm of the residual below which the system counts as solved."""


class TerminationReason(IntEnum):
    """Why conjugate gradients stopped; the numbers appear in the records."""

    MAX_ITERATIONS = 0
    PROGRESS = 1
    RESIDUAL = 2
    CURVATURE = 3
    NOT_FINITE = 4


@dataclass(frozen=True)
class Iterate:
    """A kept iterate of every replica; a replica that had stopped earlier shows its last one.

    Attributes:
        solution: (R, P).
        quadratic: Value of the quadratic x^T A x / 2 - b^T x there, (R,).
    """

    solution: Tensor
    quadratic: Tensor


@dataclass(frozen=True)
class CgResult:
    """What conjugate gradients found.

    Attributes:
        iterates: Kept iterates, earliest first; the last is the final one.
        num_iterations: (R,), float64.
        reasons: (R,), float64, values of `TerminationReason`.
    """

    iterates: list[Iterate]
    num_iterations: Tensor
    reasons: Tensor

    @property
    def solution(self) -> Tensor:
        """The final iterate, (R, P)."""
        return self.iterates[-1].solution


def kept_iterations(max_iterations: int) -> set[int]:
    """The iterations whose iterates are kept for backtracking: 1, 2, 3, ... growing by `ITERATE_GAP`."""
    kept, gap = {max_iterations}, 1.0
    while gap < max_iterations:
        kept.add(round(gap))
        gap = max(gap * ITERATE_GAP, gap + 1)
    return kept


def conjugate_gradient(
    product: Callable[[Tensor, Sequence[bool]], Tensor],
    target: Tensor,
    start: Tensor,
    max_iterations: int,
    tolerance: Tensor,
) -> CgResult:
    """Minimize x^T A x / 2 - b^T x for each replica, A positive definite.

    A replica stops after iteration i > k when its quadratic phi is negative and the last k iterations brought
    (phi_i - phi_{i-k}) / phi_i < k * tolerance, k = max(10, 0.1 i); also at `max_iterations`, at a residual below
    `SMALLEST_RESIDUAL`, at a direction without positive curvature, and before a value that is not finite. A stopped
    replica no longer changes.

    Args:
        product: (v (R, P), active) -> A v (R, P); rows of replicas that are not active are not read.
        target: b, (R, P).
        start: First x, (R, P).
        max_iterations: Limit of products after the one for the first residual.
        tolerance: (R,).

    Returns:
        Kept iterates (float64), counts and reasons.

    Cost: num_iterations + 1 products.
    Source: Martens (2010), ICML, sections 4.4 to 4.6.
    """
    b, x = target.double(), start.double()
    active = [True] * b.shape[0]
    residual = b - product(x.to(target.dtype), active).double()
    direction = residual.clone()
    squared = residual.square().sum(1)
    history = [_quadratic(x, residual, b)]
    reasons = torch.full_like(squared, float(TerminationReason.MAX_ITERATIONS))
    num_iterations = torch.zeros_like(squared)
    iterates: list[Iterate] = []
    kept = kept_iterations(max_iterations)

    def stop(which: Tensor, reason: TerminationReason) -> None:
        for replica in which.nonzero().flatten().tolist():
            if active[replica]:
                active[replica] = False
                reasons[replica] = float(reason)

    stop(~squared.isfinite(), TerminationReason.NOT_FINITE)
    stop(squared.sqrt() < SMALLEST_RESIDUAL, TerminationReason.RESIDUAL)
    for iteration in range(1, max_iterations + 1):
        if not any(active):
            break
        image = product(direction.to(target.dtype), active).double()
        curvature = (direction * image).sum(1)
        stop(~curvature.isfinite(), TerminationReason.NOT_FINITE)
        stop(curvature <= 0, TerminationReason.CURVATURE)
        running = torch.tensor(active, device=b.device)
        step = torch.where(running, squared / curvature, 0.0).unsqueeze(1)
        x = torch.where(step != 0, x + step * direction, x)
        residual = torch.where(step != 0, residual - step * image, residual)
        following = residual.square().sum(1)
        direction = residual + (following / squared).unsqueeze(1) * direction
        squared = following
        num_iterations += running
        history.append(_quadratic(x, residual, b))
        stop(squared.sqrt() < SMALLEST_RESIDUAL, TerminationReason.RESIDUAL)
        window = max(MIN_PROGRESS_WINDOW, iteration // 10)
        if iteration > window:
            now, before = history[-1], history[-1 - window]
            stop((now < 0) & ((now - before) / now < window * tolerance), TerminationReason.PROGRESS)
        if iteration in kept:
            iterates.append(Iterate(x, history[-1]))
    if not iterates or iterates[-1].solution is not x:
        iterates.append(Iterate(x, history[-1]))
    return CgResult(iterates, num_iterations, reasons)


def _quadratic(x: Tensor, residual: Tensor, b: Tensor) -> Tensor:
    """x^T A x / 2 - b^T x from the residual b - A x, (R,)."""
    return -0.5 * (x * (residual + b)).sum(1)
