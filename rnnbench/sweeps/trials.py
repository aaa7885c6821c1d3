"""The rows of a sweep in TensorBoard's table of runs: varying keys, one row for jobs that differ only in the seed."""

import os

from rnnbench.run.hyperparameters import Trial, main_hyperparameters
from rnnbench.sweeps import grouping
from rnnbench.sweeps.plan import SweepPlan

Scalar = bool | int | float | str


def trials_of(plan: SweepPlan, number: int) -> list[Trial]:
    """Return the row of each job of a group.

    A row has the keys that vary among the jobs of the whole sweep, except the seed. If only the seed varies, it has the
    keys of a single run.

    Args:
        plan: Plan of the sweep.
        number: Number of the group.
    """
    keys = grouping.differences([table for other in plan.numbers() for table in plan.tables(other)])
    varying = [key for key in keys if key not in grouping.NOT_SHOWN]
    sweep = os.path.basename(os.path.realpath(plan.folder))
    of_all = {} if varying else main_hyperparameters(plan.groups[number].configs()[0])
    of_all.pop("seed", None)
    trials = []
    for table in plan.tables(number):
        values = {key: grouping.value_in(table, key) for key in varying if grouping.has_value(table, key)} or of_all
        values = {key: value if isinstance(value, Scalar) else grouping.show(value) for key, value in values.items()}
        name = f"{grouping.label(table, varying) or 'all seeds'} ({sweep})"
        trials.append(Trial(name, values, grouping.label(table, [*varying, *(["seed"] if "seed" in keys else [])])))
    return trials
