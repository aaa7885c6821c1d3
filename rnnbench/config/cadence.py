"""Default intervals between evaluations and between rows: those of the optimizer, but at least 20 in a run."""

import math
from typing import Any

from omegaconf import OmegaConf

MIN_EVALUATIONS = 20
"""Least number of evaluations, and of rows, of a run that uses its whole budget."""


def register_cadence() -> None:
    """Register the resolver `${cadence:NAME}`: NAME of optim.cadence, limited to 1/20 of the budget."""
    OmegaConf.register_new_resolver("cadence", _resolve, replace=True)


def _resolve(name: str, *, _root_: Any) -> int:
    """The value of `${cadence:NAME}` in a configuration."""
    return default_interval(_root_.optim.cadence[name], _root_.budget, _root_.optim.get("batch_size"))


def default_interval(cadence: int, budget: Any, batch_size: int | None) -> int:
    """The number of updates between two evaluations, or between two rows.

    A budget in minutes is ignored, as the number of updates it allows is not known beforehand. So is a budget in
    sequences if their number varies from update to update.

    Args:
        cadence: Largest number, from optim.cadence.
        budget: Budget of the run.
        batch_size: Sequences per update; None if it varies.
    """
    updates: int = budget.updates
    if budget.sequences is not None and batch_size is not None:
        updates = min(updates, math.ceil(budget.sequences / max(batch_size, 1)))
    return max(1, min(cadence, updates // MIN_EVALUATIONS))
