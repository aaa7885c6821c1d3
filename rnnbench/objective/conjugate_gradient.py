"""Conjugate gradients for many replicas in lockstep, stopped by relative progress.

Letters: R replicas, P parameters of one replica. Vectors are float64: with a few thousand parameters their
cost is negligible compared with the products, and float32 loses conjugacy after about a hundred iterations. Replicas
that have stopped keep their rows in the vectors, which costs a few percent; products skip them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

ITERATE_GAP = 1.3
"""Iterates are kept at iterations that grow by this factor (Martens 2010, section 4.6)."""

WINDOW_SHARE = 0.1
"""Progress is measured over this share of the iterations so far, or over the smallest window if that is larger."""


class TerminationReason(IntEnum):
    """Why conjugate gradients stopped; the numbers appear in the records."""

    MAX_ITERATIONS = 0
    PROGRESS = 1
    RESIDUAL = 2
    CURVATURE = 3
    NOT_FINITE = 4


@dataclass(frozen=True)
class Iterate:
    """A kept iterate of every replica; for a replica that had stopped earlier, its last one.

    Attributes:
        solution: (R, P).
        quadratic: Value of the quadratic x^T A x / 2 - b^T x there, (R,).
        iteration: Iteration that reached it, (R,), float64.
    """

    solution: Tensor
    quadratic: Tensor
    iteration: Tensor


@dataclass(frozen=True)
class CgResult:
    """Result of conjugate gradients.

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


@dataclass(frozen=True, kw_only=True)
class CgRules:
    """When conjugate gradients stop, and what they keep.

    Attributes:
        max_iterations: Largest number of iterations; one product each, and one for the first residual.
        limits: (R,), largest number of iterations of each replica; None: `max_iterations` for all.
        tolerance: (R,), relative progress of an iteration below which a replica stops.
        window: Smallest number of iterations over which progress is measured.
        residual_tolerance: (R,), norm of the residual below which the system counts as solved.
        keep_every: Iterations between two kept iterates; None: at 1, 2, 3, ... growing by `ITERATE_GAP`.
        sync_every: Iterations between two reads of which replicas have stopped, since a read waits for the GPU. It
            changes no result, but replicas that have stopped cost products until the next read.
    """

    max_iterations: int
    tolerance: Tensor
    residual_tolerance: Tensor
    limits: Tensor | None = None
    window: int = 10
    keep_every: int | None = None
    sync_every: int = 1

    def kept_iterations(self) -> set[int]:
        """The iterations whose iterates are kept for backtracking, the limit among them."""
        if self.keep_every is not None:
            return {*range(self.keep_every, self.max_iterations, self.keep_every), self.max_iterations}
        kept, gap = {self.max_iterations}, 1.0
        while gap < self.max_iterations:
            kept.add(round(gap))
            gap = max(gap * ITERATE_GAP, gap + 1)
        return kept


def conjugate_gradient(
    product: Callable[[Tensor, Sequence[bool]], Tensor],
    target: Tensor,
    start: Tensor,
    rules: CgRules,
    preconditioner: Tensor | None = None,
) -> CgResult:
    """Minimize x^T A x / 2 - b^T x for each replica, A positive definite.

    A replica stops after iteration i > k when its quadratic phi is negative and the last k iterations brought
    (phi_i - phi_{i-k}) / phi_i < k * tolerance, k = max(window, 0.1 i); also at the limits of `rules`, at a direction
    without positive curvature, and before a value that is not finite. A stopped replica no longer changes.

    Args:
        product: (v (R, P), active) -> A v (R, P); rows of replicas that have stopped are not read.
        target: b, (R, P).
        start: First x, (R, P).
        rules: When to stop, what to keep.
        preconditioner: Diagonal of M > 0, (R, P), near A: the directions are conjugate after a change of variables that
            makes M the identity. None: the identity.

    Returns:
        Kept iterates, counts and reasons.

    Cost: num_iterations + 1 products, and those until the next read of which replicas have stopped.
    Source: Martens (2010), ICML, sections 4.4 to 4.7.
    """
    b, x = target.double(), start.double()
    inverse = None if preconditioner is None else preconditioner.double().reciprocal()
    active = [True] * b.shape[0]  # as last read
    residual = b - product(x.to(target.dtype), active).double()
    direction = preconditioned = residual if inverse is None else inverse * residual
    squared = _dot(residual, preconditioned)
    history = [_quadratic(x, residual, b)]
    stops = _Stops(squared)
    num_iterations = torch.zeros_like(squared)
    num_entered = torch.zeros((), dtype=torch.int64, device=b.device)  # iterations begun by any replica
    iterates: dict[int, Iterate] = {}
    kept = rules.kept_iterations()
    stops.add(~squared.isfinite(), TerminationReason.NOT_FINITE)
    stops.add(_dot(residual, residual).sqrt() < rules.residual_tolerance, TerminationReason.RESIDUAL)
    entered = 0
    for iteration in range(1, rules.max_iterations + 1):
        num_entered = num_entered + stops.running.any()
        image = product(direction.to(target.dtype), active).double()
        curvature = _dot(direction, image)
        stops.add(~curvature.isfinite(), TerminationReason.NOT_FINITE)
        stops.add(curvature <= 0, TerminationReason.CURVATURE)
        step = torch.where(stops.running, squared / curvature, 0.0).unsqueeze(1)
        x = torch.where(step != 0, x + step * direction, x)
        residual = torch.where(step != 0, residual - step * image, residual)
        preconditioned = residual if inverse is None else inverse * residual
        following = _dot(residual, preconditioned)
        direction = preconditioned + (following / squared).unsqueeze(1) * direction
        squared = following
        num_iterations = num_iterations + stops.running
        history.append(_quadratic(x, residual, b))
        norm_squared = following if inverse is None else _dot(residual, residual)
        stops.add(norm_squared.sqrt() < rules.residual_tolerance, TerminationReason.RESIDUAL)
        stops.add(_progress_is_small(history, rules), TerminationReason.PROGRESS)
        if rules.limits is not None:
            stops.add(num_iterations >= rules.limits, TerminationReason.MAX_ITERATIONS)
        if iteration in kept:
            iterates[iteration] = Iterate(x, history[-1], num_iterations)
        if iteration % rules.sync_every == 0 or iteration == rules.max_iterations:
            # One tensor, since each read waits for the device.
            entered, *running = torch.cat((num_entered.view(1), stops.running)).tolist()
            if not any(running):
                break
            active = [bool(one) for one in running]
    reached = [iterate for iteration, iterate in iterates.items() if iteration <= entered]
    if entered not in iterates:
        reached.append(Iterate(x, history[-1], num_iterations))
    return CgResult(reached, num_iterations, stops.reasons)


class _Stops:
    """Which replicas still run, (R,), and why the others stopped: the first reason counts."""

    def __init__(self, like: Tensor) -> None:
        self.running = torch.ones_like(like, dtype=torch.bool)
        self.reasons = torch.full_like(like, float(TerminationReason.MAX_ITERATIONS))

    def add(self, which: Tensor, reason: TerminationReason) -> None:
        """Stop some of the running replicas."""
        self.reasons = torch.where(self.running & which, float(reason), self.reasons)
        self.running = self.running & ~which


def _progress_is_small(history: Sequence[Tensor], rules: CgRules) -> Tensor:
    """Whether Martens's progress rule stops each replica, (R,).

    Args:
        history: Value of the quadratic before the first iteration and after each, (R,) each.
        rules: The limits.
    """
    now, iteration = history[-1], len(history) - 1
    window = max(rules.window, int(WINDOW_SHARE * iteration))
    if iteration <= window:
        return torch.zeros_like(now, dtype=torch.bool)
    return (now < 0) & ((now - history[-1 - window]) / now < window * rules.tolerance)


def _dot(first: Tensor, second: Tensor) -> Tensor:
    """Dot product of each row, (R,), added up in float64."""
    return (first * second).sum(1, dtype=torch.float64)


def _quadratic(x: Tensor, residual: Tensor, b: Tensor) -> Tensor:
    """x^T A x / 2 - b^T x from the residual b - A x, (R,)."""
    return -0.5 * _dot(x, residual + b)
