"""Small sweeps for the tests, and whether two of them recorded the same."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from forked import Command
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rnnbench.training.checkpoint import load_checkpoint
from rnnbench.training.observation import Observer

SMALL = (
    "task.sequence_length=10",
    "model.hidden_size=8",
    "threads=1",
    "probe=none",
    "record.log_every=3",
    "record.evaluate_every=5",
    "record.checkpoint_every=10",
    "budget.updates=30",
)
NAG = (*SMALL, "optim=nag", "optim.batch_size=10")
SGD = (*SMALL, "optim=sgd", "optim.batch_size=10")
HF = (
    *SMALL,
    "optim=hf",
    "optim.gradient_batch_size=40",
    "optim.curvature_batch_size=20",
    "optim.max_cg_iterations=6",
)
SEEDS = "seed=range(0,4)"


def at_update(update, act, *arguments):
    """Have something done in this process at an update, on the thread that makes them.

    Args:
        update: When the row of so many updates has been logged.
        act: Called with the run's observer and the arguments; a function of a module.
        arguments: To it.
    """
    observe, is_done = Observer.observe, False

    def observe_and_act(self, number, *row):
        nonlocal is_done
        observe(self, number, *row)
        if number == update and not is_done:
            is_done = True
            act(self, *arguments)

    Observer.observe = observe_and_act  # type: ignore[method-assign]


class Rnnbench:
    """Calls of `rnnbench`, whose folders lie in one that is empty at first.

    Attributes:
        root: That folder.
    """

    def __init__(self, root):
        self.root = root
        self._commands = []

    def close(self):
        """Kill what still runs."""
        for command in self._commands:
            command.process.kill()
            command.process.join()

    def start(self, *words, before=None, given=()):
        """Start a command."""
        output = self.root / f"output-{len(self._commands)}"
        self._commands.append(Command(*map(str, words), output=output, before=before, given=given))
        return self._commands[-1]

    def __call__(self, *words, status=0, before=None, given=()):
        """Run a command to its end, which has to be with this exit status."""
        command = self.start(*words, before=before, given=given)
        ended = command.status()
        assert ended == status, f"{ended}: {command.out}{command.err}"
        return command

    def start_sweep(self, name, *words, before=None, given=()):
        """Start a sweep in the folder of this name."""
        return self.start(
            "train", "-m", "-q", *words, f"hydra.sweep.dir={self.root / name}", before=before, given=given
        )

    def sweep(self, name, *words, status=0, before=None, given=()):
        """Run a sweep to its end; its folder."""
        command = self.start_sweep(name, *words, before=before, given=given)
        ended = command.status()
        assert ended == status, f"{ended}: {command.out}{command.err}"
        return self.root / name

    def copy(self, name, sweep):
        """Copy a sweep that several tests begin with to the folder of this name; that folder."""
        return Path(shutil.copytree(sweep, self.root / name))


class Prepared:
    """Sweeps that several tests compare with, or begin with a copy of: each is run once, and nothing may change it."""

    def __init__(self, root):
        self._calls = Rnnbench(root)
        self._folders = {}

    def __call__(self, *words, status=0, before=None, given=()):
        """The folder of such a sweep; the arguments are those of `Rnnbench.sweep`."""
        key = (words, status, before, given)
        if key not in self._folders:
            name = f"prepared-{len(self._folders)}"
            self._folders[key] = self._calls.sweep(name, *words, status=status, before=before, given=given)
        return self._folders[key]


# ---------------------------------------------------------------- what a sweep left


def jobs_of(sweep):
    """The folders of a sweep's jobs that are there, in their order."""
    return sorted((path.parent for path in sweep.glob("*/.hydra")), key=lambda path: int(path.name))


def plan_of(sweep):
    """The contents of sweep.json."""
    return json.loads((sweep / "sweep.json").read_text())


def summary_of(job):
    """The contents of summary.json."""
    return json.loads((job / "summary.json").read_text())


def statuses_of(sweep):
    """How the jobs of a sweep stand."""
    return [summary_of(job)["status"] for job in jobs_of(sweep)]


def metrics_of(folder):
    """metrics.csv as text, but for the wall-clock times."""
    table = pd.read_csv(folder / "metrics.csv", dtype=str, keep_default_na=False)
    return table[[column for column in table if not column.startswith("time/")]]


def events_of(folder):
    """(step, value) of every event of every scalar, but for the wall-clock times."""
    accumulator = EventAccumulator(str(folder), {"scalars": 0}).Reload()
    for tag in sorted(accumulator.Tags()["scalars"]):
        if not tag.startswith("time/"):
            yield tag, np.array([(event.step, event.value) for event in accumulator.Scalars(tag)])


def assert_same_sweep(first, second, *, but=()):
    """Both sweeps recorded the same, bit for bit, but for some columns of the aggregate."""
    assert [job.name for job in jobs_of(first)] == [job.name for job in jobs_of(second)]
    for one, other in zip(jobs_of(first), jobs_of(second), strict=True):
        assert_same_job(one, other)
    cells = [sorted(path.parent.name for path in sweep.glob("aggregate/*/metrics.csv")) for sweep in (first, second)]
    assert cells[0] == cells[1]
    for cell in cells[0]:
        assert_same_records(first / "aggregate" / cell, second / "aggregate" / cell, but=but)


def assert_same_job(first, second):
    """Both runs ended in the same way, with the same numbers, bit for bit."""
    summaries = [summary_of(folder) for folder in (first, second)]
    for key in ("status", "solved", "loss", "error_rate", "updates", "sequences", "products", "message"):
        assert summaries[0][key] == summaries[1][key], (second, key)
    checkpoints = [load_checkpoint(folder / "checkpoint.pt") for folder in (first, second)]
    assert checkpoints[0]["theta"].equal(checkpoints[1]["theta"]), second
    assert_same_records(first, second)


def assert_same_records(first, second, *, but=()):
    """The same rows and events, in order, no step missing or twice, but for some columns."""
    tables = [metrics_of(folder).drop(columns=list(but)) for folder in (first, second)]
    pd.testing.assert_frame_equal(*tables, check_exact=True, obj=str(second))
    updates = tables[1]["update"].astype(int).to_numpy()
    assert (np.diff(updates) > 0).all(), (second, updates)
    events = [{tag: one for tag, one in events_of(folder) if not tag.endswith(but)} for folder in (first, second)]
    assert events[0].keys() == events[1].keys()
    for tag, one in events[0].items():
        np.testing.assert_array_equal(events[1][tag], one, err_msg=f"{tag} of {second}")  # NaN equals NaN


def assert_close_job(first, second):
    """The same numbers within rounding, as for a replica beside others and the same run alone, in float64."""
    tables = [metrics_of(folder).replace("", np.nan).astype(float) for folder in (first, second)]
    pd.testing.assert_frame_equal(*tables, rtol=1e-8, atol=1e-10)
    theta = [load_checkpoint(folder / "checkpoint.pt")["theta"].numpy() for folder in (first, second)]
    np.testing.assert_allclose(*theta, rtol=1e-8, atol=1e-10)
