"""Outcomes of the runs of a sweep: whether each is solved, and at what cost."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from rnnbench.experiments.nets import read_summaries
from rnnbench.experiments.shares import Rows
from rnnbench.experiments.study import Study


def measure_outcomes(study: Study, sweep: str, keys: Mapping[str, str]) -> Rows:
    """Train a sweep, if it is not trained yet, and return the outcome of each run.

    Args:
        study: Folder and training of the experiment.
        sweep: Name of the sweep.
        keys: Name of each further value of a run -> its dotted key in the configuration.

    Returns:
        The runs in the order of the jobs: `solved`; `sequences` and `seconds` until it was solved (None: it was not),
        where the seconds are those of all runs that were trained together; the values.

    Raises:
        StudyError: A job failed.
    """
    rows: Rows = study.keep(sweep, partial(_outcomes, study, sweep, keys))["runs"]
    return rows


def _outcomes(study: Study, sweep: str, keys: Mapping[str, str]) -> Mapping[str, Any]:
    runs = []
    for summary in read_summaries(study.train(sweep)):
        values = {name: _value(summary.config, key) for name, key in keys.items()}
        at = summary.solved_at
        costs = {name: None if at is None else getattr(at, name) for name in ("sequences", "seconds")}
        runs.append({**values, "solved": summary.solved, **costs})
    return {"runs": runs}


def _value(config: Mapping[str, Any], key: str) -> Any:
    """Return the value of a dotted key."""
    for part in key.split("."):
        config = config[part]
    return config
