"""The objective that a searching sweeper minimizes, from the records of a run."""

import math
from pathlib import Path

from rnnbench.records.errors import RecordError
from rnnbench.records.summary import read_summary


def objective_of(folder: Path) -> float:
    """Return the number that the configuration key `objective` of a run selects.

    Args:
        folder: Run folder.

    Returns:
        updates_to_solve: number of updates until the run was solved; for an unsolved run, its budget of updates times
        1 + its error rate, so that a search can still rank it. loss, error_rate: values at the last evaluation.
        Infinity for a run that diverged or failed.
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
    except (KeyError, TypeError):  # the summary was changed by another program
        return math.inf
