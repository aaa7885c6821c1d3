"""The hyperparameters of a job as TensorBoard's table of runs shows them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.config.schema import CHOICE_GROUPS, Config
from rnnbench.config.validate import fields_of

MAIN_KEYS = ("task.sequence_length", "model.hidden_size", "optim.lr", "optim.batch_size", "seed")
"""Keys that the row of a run shows beside its choices if nothing varies; keys that the run lacks are left out."""


@dataclass(frozen=True)
class Trial:
    """A row of TensorBoard's table.

    Attributes:
        name: Name of the row; jobs of one name are averaged.
        values: Hyperparameters by the name of their column.
        job: The values in which the job differs from the others of its sweep, seed included; "": there are none.
    """

    name: str
    values: Mapping[str, Any]
    job: str = ""


def single_trial(config: Config, folder: Path) -> Trial:
    """Return the trial of a run that belongs to no sweep: a row of its own, named by its folder."""
    return Trial("/".join(Path(os.path.realpath(folder)).parts[-3:]), main_hyperparameters(config))


def main_hyperparameters(config: Config) -> dict[str, Any]:
    """Return the names of a configuration's choices and the values of `MAIN_KEYS`."""
    table = {key: value for key, value, _ in fields_of(config)}
    names = {group: table[f"{group}.name"] for group in CHOICE_GROUPS}
    return names | {key: table[key] for key in MAIN_KEYS if key in table}
