"""Run folders as runs leave them, without the runs."""

import numpy as np

from rnnbench.records import SolvedAt, Summary, write_summary
from rnnbench.records.metrics_csv import header, rows
from rnnbench.reports.finding import find_run_folders
from rnnbench.reports.runs import read_runs

COLUMNS = ["loss/train", "loss/eval", "error_rate/eval", "cost/sequences", "time/seconds"]


def config(**fields):
    """A configuration; fields by dotted name with two underscores, as optim__lr=0.1."""
    tree = {
        "task": {"name": "adding", "_target_": "a.B", "sequence_length": 50, "variant": "hf11"},
        "model": {"name": "rnn", "hidden_size": 10},
        "init": {"name": "sparse"},
        "optim": {"name": "nag", "lr": 0.01, "cadence": {"updates": 7}},
        "seed": 0,
        "name": "adding_nag",
        "budget": {"updates": 100, "minutes": None},
    }
    for name, value in fields.items():
        *groups, key = name.split("__")
        inner = tree
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[key] = value
    return tree


def write_run(
    folder,
    *,
    status="budget",
    solved_at=None,
    updates=100,
    evaluations=((0, 1.0, 1.0), (100, 0.2, 0.5)),
    summary=None,
    **fields,
):
    """Write a run that saw 10 sequences in half a second at each update.

    Args:
        folder: Where to.
        status: As in the summary.
        solved_at: Update.
        updates: Done.
        evaluations: Update, loss, error rate of each row of metrics.
        summary: Other values of the summary.
        fields: Of `config`.
    """
    folder.mkdir(parents=True)
    lines = [header(COLUMNS)]
    for update, loss, error_rate in evaluations:
        for step, values in ((update, [None, loss, error_rate]), (update + 1, [0.5, None, None])):
            cells = [*values, 10.0 * step, update / 2]
            table = np.array([[0.0 if cell is None else cell] for cell in cells])
            lines += rows(step, table, np.array([[cell is not None] for cell in cells]))
    (folder / "metrics.csv").write_bytes(b"".join(lines))
    values = {
        "status": status,
        "solved": solved_at is not None,
        "solved_at": None if solved_at is None else SolvedAt(solved_at, 10 * solved_at, solved_at / 2),
        "loss": evaluations[-1][1] if evaluations else None,
        "error_rate": evaluations[-1][2] if evaluations else None,
        "baseline_loss": 1 / 6,
        "baseline_error_rate": 0.9,
        "updates": updates,
        "sequences": 10 * updates,
        "seconds": updates / 2,
        "config": config(**fields),
    }
    write_summary(folder, Summary(**{**values, **(summary or {})}))
    return folder


def write_sweep(root):
    """Two optimizers, two learning rates, two lengths, two seeds: half of the runs are solved, one diverged."""
    number = 0
    for optim in ("nag", "sgd"):
        for lr in (0.001, 0.1):
            for length in (20, 50):
                for seed in (0, 1):
                    solved = 40 + 10 * seed if (lr == 0.1 and optim == "nag") or (length == 20 and seed) else None
                    status = "solved" if solved else "diverged" if number == 15 else "budget"
                    write_run(
                        root / str(number),
                        status=status,
                        solved_at=solved,
                        updates=60 if solved else 100,
                        optim__name=optim,
                        optim__lr=lr,
                        task__sequence_length=length,
                        seed=seed,
                    )
                    number += 1


def read(root):
    """All runs below a folder; none may be damaged."""
    found = find_run_folders([root])
    runs = list(read_runs(found.runs, found.problems))
    assert found.problems == []
    return runs
