"""The number that a sweeper which searches minimises, from a run's records."""

import math
from pathlib import Path

from rnnbench.records.errors import RecordError
from rnnbench.records.summary import read_summary


def objective_of(folder: Path) -> float:
    """What the run's key `objective` names.

    Args:
        folder: Of the run.

    Returns:
        updates_to_solve: updates until the run was solved; where it was not, its budget of updates times 1 + its error
        rate, so that a search has something to go by. loss, error_rate: at the last evaluation. Infinity for a run that
        diverged or failed.
    """
    try:
        summary = read_summary(folder)
    except RecordError:
        return math.inf
    if summary.status in ("diverged", "failed") or summary.loss is None or summary.error_rate is None:
        return math.inf
    objective = summary.config.get("objective")
    if objective == "loss":
        return summary.loss
    if objective == "error_rate":
        return summary.error_rate
    if summary.solved_at is not None:
        return float(summary.solved_at.update)
    try:
        budget: int = summary.config["budget"]["updates"]
        return budget * (1 + summary.error_rate)
    except (KeyError, TypeError):  # another program has changed the summary
        return math.inf
