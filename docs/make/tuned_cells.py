"""The records of an experiment that tunes every optimizer on every problem, as cells of a table."""

from rnnbench.experiments.optimizer_map import Tuned

NOT_TRIED = "not tried"
"""Text of a cell of an optimizer that was not tried on a problem."""


def solved(cell: Tuned | None) -> str:
    """Text of a cell: how many of the fresh seeds are solved."""
    return NOT_TRIED if cell is None else f"{cell.solved} of {cell.runs}"
