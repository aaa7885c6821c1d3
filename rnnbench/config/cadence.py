"""Default intervals between evaluations and between rows: those of the optimizer, but at least 20 in a run."""

import math
from typing import Any

from omegaconf import OmegaConf

MIN_EVALUATIONS = 20
"""Least number of evaluations, and of rows, of a run that uses its whole budget."""


def register_cadence() -> None:
    """Register the resolvers of this module.

    `${cadence:NAME}` is NAME of optim.cadence, limited to 1/20 of the budget. `${planned_updates:}` is the number of
    updates of the budget; null if only a limit in minutes is given.
    """
    OmegaConf.register_new_resolver("cadence", _resolve, replace=True)
    OmegaConf.register_new_resolver("planned_updates", _resolve_planned_updates, replace=True)


def _resolve(name: str, *, _root_: Any) -> int:
    """The value of `${cadence:NAME}` in a configuration."""
    return default_interval(_root_.optim.cadence[name], _root_.budget, _root_.optim.get("batch_size"))


def _resolve_planned_updates(*, _root_: Any) -> int | None:
    """The value of `${planned_updates:}` in a configuration."""
    budget, batch_size = _root_.budget, _root_.optim.get("batch_size")
    is_given = not OmegaConf.is_interpolation(budget, "updates") or (budget.sequences is not None and batch_size)
    return planned_updates(budget, batch_size) if is_given or budget.minutes is None else None


def planned_updates(budget: Any, batch_size: int | None) -> int:
    """The number of updates that a budget allows, if its limit in minutes is ignored.

    A limit in sequences counts only if their number is the same for all updates.

    Args:
        budget: Budget of the run.
        batch_size: Sequences per update; None if it varies.
    """
    updates: int = budget.updates
    if budget.sequences is not None and batch_size is not None:
        updates = min(updates, math.ceil(budget.sequences / max(batch_size, 1)))
    return updates


def default_interval(cadence: int, budget: Any, batch_size: int | None) -> int:
    """The number of updates between two evaluations, or between two rows.

    Args:
        cadence: Largest number, from optim.cadence.
        budget: Budget of the run.
        batch_size: Sequences per update; None if it varies.
    """
    return max(1, min(cadence, planned_updates(budget, batch_size) // MIN_EVALUATIONS))
