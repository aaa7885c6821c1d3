"""Reads the records of an experiment that tunes every optimizer on every problem, complete or not."""

import json
from pathlib import Path
from typing import Any

from docs.make.errors import PageError
from docs.make.reproductions import RECORDS
from rnnbench.experiments.optimizer_map import Tuned
from rnnbench.experiments.study import PARTS
from rnnbench.experiments.tuned_map import TunedMap

NOT_TRIED = "not tried"
"""Text of a cell of an optimizer that was not tried on a problem."""


def read_records(results: Path, experiment: TunedMap) -> dict[str, Any]:
    """Name of a tuning -> its record, for those that are there.

    Args:
        results: Folder of all results.
        experiment: The experiment.

    Raises:
        PageError: A record is damaged, or belongs to another plan.
    """
    name, records = experiment.rule.name, {}
    for part, words in experiment.tunings.items():
        path = results / RECORDS / name / PARTS / f"{part}.json"
        if not path.is_file():
            continue
        try:
            records[part] = json.loads(path.read_text(encoding="utf-8"))
            Tuned.of(records[part])
        except (ValueError, KeyError) as error:
            raise PageError(f"{path} is damaged: {error}") from error
        if records[part]["words"] != words:
            raise PageError(f"{path} was trained with other arguments than conf/experiment/{name}.yaml says now")
    return records


def solved(cell: Tuned | None) -> str:
    """Text of a cell: how many of the fresh seeds are solved."""
    return NOT_TRIED if cell is None else f"{cell.solved} of {cell.runs}"
