"""Chooses among the iterates of conjugate gradients, usually on other sequences than the curvature batch.

Letters: R replicas, P parameters of one replica.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.objective.conjugate_gradient import CgResult
from rnnbench.optim.line_search import rounding

Judge = Callable[[Tensor], Tensor]
"""Maps a step (R, P) to the value to be minimized, (R,), float64: a loss, or a quadratic model."""


@dataclass(frozen=True)
class ChosenStep:
    """The iterate that was chosen for each replica.

    Attributes:
        step: (R, P), in theta's dtype.
        quadratic: Value of the damped quadratic at the step, (R,).
        num_given_up: Number of kept iterates after the chosen one, (R,), float64.
        num_judged: Number of iterates that each replica needed to evaluate, (R,), float64.
    """

    step: Tensor
    quadratic: Tensor
    num_given_up: Tensor
    num_judged: Tensor


def last_iterate(solved: CgResult, dtype: torch.dtype) -> ChosenStep:
    """The last iterate of every replica."""
    last = solved.iterates[-1]
    zeros = torch.zeros_like(last.quadratic)
    return ChosenStep(last.solution.to(dtype), last.quadratic, zeros, zeros)


def walk_back(judge: Judge, solved: CgResult, dtype: torch.dtype) -> ChosenStep:
    """Go back from the last iterate while that lowers the judge's value by more than its rounding error.

    Args:
        judge: Evaluates a step.
        solved: Result of conjugate gradients, with the kept iterates.
        dtype: Floating-point type of theta.

    Source: Martens (2010), ICML, section 4.6.
    """
    chosen = last_iterate(solved, dtype)
    step, quadratic, reached = chosen.step, chosen.quadratic, solved.iterates[-1].iteration
    value = _judged(judge, step)
    walking = torch.ones_like(value, dtype=torch.bool)
    given_up, judged = torch.zeros_like(value), torch.ones_like(value)
    for iterate in reversed(solved.iterates[:-1]):
        # A replica that stopped before the others repeats its last iterate; trained alone, it would not.
        own = iterate.iteration < reached
        candidate = iterate.solution.to(dtype)
        candidate_value = _judged(judge, candidate)
        judged += walking & own
        walking &= _is_lower(candidate_value, value, dtype) | ~own
        if not bool(walking.any()):
            break
        moved = walking & own
        step = torch.where(moved.unsqueeze(1), candidate, step)
        quadratic = torch.where(moved, iterate.quadratic, quadratic)
        value = torch.where(moved, candidate_value, value)
        reached = torch.where(moved, iterate.iteration, reached)
        given_up += moved
    return ChosenStep(step, quadratic, given_up, judged)


def best_iterate(judge: Judge, solved: CgResult, dtype: torch.dtype) -> ChosenStep:
    """The kept iterate of the lowest value; of two that differ only by rounding, the later one.

    Arguments: as for `walk_back`.

    Source: the released code of Martens and Sutskever (2011), ICML, which evaluates every tenth iterate.
    """
    chosen = last_iterate(solved, dtype)
    step, quadratic, reached = chosen.step, chosen.quadratic, solved.iterates[-1].iteration
    value = _judged(judge, step)
    after, judged, given_up = reached, torch.ones_like(value), torch.zeros_like(value)
    passed = torch.zeros_like(value)  # own iterates before the last
    for iterate in reversed(solved.iterates[:-1]):
        own = iterate.iteration < after
        after = torch.where(own, iterate.iteration, after)
        passed += own
        judged += own
        candidate = iterate.solution.to(dtype)
        candidate_value = _judged(judge, candidate)
        moved = own & _is_lower(candidate_value, value, dtype)
        step = torch.where(moved.unsqueeze(1), candidate, step)
        quadratic = torch.where(moved, iterate.quadratic, quadratic)
        value = torch.where(moved, candidate_value, value)
        given_up = torch.where(moved, passed, given_up)
    return ChosenStep(step, quadratic, given_up, judged)


def _judged(judge: Judge, step: Tensor) -> Tensor:
    """The judge's value; infinity in place of a value that is not finite."""
    return judge(step).nan_to_num(nan=torch.inf, posinf=torch.inf)


def _is_lower(value: Tensor, other: Tensor, dtype: torch.dtype) -> Tensor:
    """Whether a value is lower than another by more than its rounding, (R,), bool."""
    return value < torch.where(other.isfinite(), other - rounding(other, dtype), other)


CHOOSE = {"walk_back": walk_back, "best": best_iterate}
"""The rules that need a judge."""
