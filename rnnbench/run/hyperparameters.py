"""The hyperparameters of a job as TensorBoard's table of runs shows them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.config.choices.schedules import recorded_groups
from rnnbench.config.schema import Config
from rnnbench.config.validate import fields_of

MAIN_KEYS = ("task.sequence_length", "model.hidden_size", "optim.lr", "optim.batch_size", "seed")
"""Keys in the row of a run, in addition to its choices, if nothing varies; keys that the run lacks are omitted."""


@dataclass(frozen=True)
class Trial:
    """A row of TensorBoard's table.

    Attributes:
        name: Name of the row; jobs with the same name are averaged.
        values: Hyperparameters by the name of their column.
        job: Values that distinguish the job from the others of its sweep, including the seed; "": there are none.
    """

    name: str
    values: Mapping[str, Any]
    job: str = ""


def single_trial(config: Config, folder: Path) -> Trial:
    """Return the trial of a run outside a sweep: a separate row, named after the run's folder."""
    return Trial("/".join(Path(os.path.realpath(folder)).parts[-3:]), main_hyperparameters(config))


def main_hyperparameters(config: Config) -> dict[str, Any]:
    """Return the names of a configuration's choices and the values of `MAIN_KEYS`."""
    table = {key: value for key, value, _ in fields_of(config)}
    names = {group: table[f"{group}.name"] for group in recorded_groups(config)}
    return names | {key: table[key] for key in MAIN_KEYS if key in table}
