"""The hyperparameters of a job as TensorBoard's table of runs shows them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.config.schema import CHOICE_GROUPS, Config
from rnnbench.config.validate import fields_of

TOLD_OF_A_RUN = ("task.sequence_length", "model.hidden_size", "optim.lr", "optim.batch_size", "seed")
"""Keys that a run shows beside its choices, as far as it has them, where nothing is known to vary."""


@dataclass(frozen=True)
class Trial:
    """A row of TensorBoard's table.

    Attributes:
        name: Name of the row; jobs of one name are averaged.
        values: Hyperparameters by the name of their column.
        job: What tells the job from the others of its sweep, seed included; "": nothing.
    """

    name: str
    values: Mapping[str, Any]
    job: str = ""


def single_trial(config: Config, folder: Path) -> Trial:
    """Return the trial of a run that belongs to no sweep: a row of its own, named by its folder."""
    return Trial("/".join(Path(os.path.realpath(folder)).parts[-3:]), told_of_a_run(config))


def told_of_a_run(config: Config) -> dict[str, Any]:
    """Return the names of a configuration's choices and its most telling keys."""
    table = {key: value for key, value, _ in fields_of(config)}
    told = {group: table[f"{group}.name"] for group in CHOICE_GROUPS}
    return told | {key: table[key] for key in TOLD_OF_A_RUN if key in table}
