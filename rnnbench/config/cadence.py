"""How often a run is evaluated and logged by default: as its optimizer has it, but often enough for its budget."""

import math
from typing import Any

from omegaconf import OmegaConf

EVALUATIONS_AT_LEAST = 20
"""Of a run that uses up its budget."""


def register_cadence() -> None:
    """Make `${cadence:NAME}` known: NAME of optim.cadence, at most a twentieth of the budget."""
    OmegaConf.register_new_resolver("cadence", _resolve, replace=True)


def _resolve(name: str, *, _root_: Any) -> int:
    """The value of `${cadence:NAME}` in a configuration."""
    return every(_root_.optim.cadence[name], _root_.budget, _root_.optim.get("batch_size"))


def every(cadence: int, budget: Any, batch_size: int | None) -> int:
    """Updates between two evaluations, or between two rows.

    How many updates a budget of minutes allows is not known before; nor of one of sequences, where their number varies
    from update to update.

    Args:
        cadence: The most, from optim.cadence.
        budget: Of the run.
        batch_size: Sequences of every update; None: they vary.
    """
    updates: int = budget.updates
    if budget.sequences is not None and batch_size is not None:
        updates = min(updates, math.ceil(budget.sequences / max(batch_size, 1)))
    return max(1, min(cadence, updates // EVALUATIONS_AT_LEAST))
