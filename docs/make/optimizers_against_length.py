"""The section of docs/optimizers.md on `optimizers_against_length`, from its records that are there."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from docs.make.errors import PageError
from docs.make.markdown import table
from docs.make.reproductions import RECORDS
from rnnbench.config.rule import load_rule
from rnnbench.experiments.length_map import LengthMap
from rnnbench.experiments.optimizers_against_length import OptimizersAgainstLength, part_name
from rnnbench.experiments.study import PARTS
from rnnbench.records.wording import number
from rnnbench.reports.drawing import draw_figure

NAME = "optimizers_against_length"
PICTURE = "optimizers_against_length.svg"

TEXT = """\
## Against the sequence length

The same question at growing lengths, with one budget of {sequences} sequences and nets of {hidden_size} units that
start from `init=sparse`. The setting of each optimizer is the best of three, by two pilot seeds at its shortest length;
{runs} fresh seeds then count at one length after another. Where none of them is solved, longer sequences are not run:
*none shorter* in the figure.
{extent}

<img src="images/{picture}" width="860" alt="Seeds solved by each optimizer at each sequence length">

The upper maps give every run the same sequences, those of products included. The lower ones give it the same
processor time: what the cheapest optimizer that solves a seed takes for all of its sequences, named below each length.
The time of a sequence is that of the first 30 updates of all seeds together on one thread, without evaluations, so it
depends little on the load of the machine, and not on the seeds that end early. Alone, a small net takes longer, most of
all with small batches. `hf_short_first` begins with sequences of 50 steps; its runs are trained one by one, and each
sequence is charged with the time of the full length.

Seeds solved, the median of sequences until then (-: fewer than half are), and the microseconds of a sequence:

{table}

Only Hessian-free learns either problem over 100 steps within this budget, and only if it begins with shorter sequences
does it learn them over 200 for at least half of the seeds. Of the others, Muon goes furthest on temporal order and
Nesterov momentum on adding, where all but it and SOAP fail at 20 steps. This is one budget, with three settings an
optimizer: with three times as many sequences, and shorter ones first, Adam solves temporal order at T = 200 for one
seed of four ([hf_results.md](hf_results.md#first-order-methods-with-the-same-help)).

`rnnbench reproduce {name}` makes the records, in about one and a half hours of one core,
and ends in a verdict on a claim of the book; the rule is in `conf/experiment/{name}.yaml`.
"""


def section(results: Path) -> tuple[str, bytes] | None:
    """Return the section and its figure; None: there is no record.

    Raises:
        PageError: A record is damaged.
    """
    experiment, found = read_experiment(results)
    if not found.records:
        return None
    settings = experiment.rule.settings
    text = TEXT.format(
        sequences=number(settings["sequences"]),
        hidden_size=settings["hidden_size"],
        runs=settings["end_seed"] - settings["first_seed"],
        extent=_extent(experiment, found),
        picture=PICTURE,
        table=_table(found),
        name=NAME,
    )
    width, height = experiment.size
    return text, draw_figure(found.draw, width=width, height=height, form="svg")


def read_experiment(results: Path) -> tuple[OptimizersAgainstLength, LengthMap]:
    """Return the experiment and the map of its records that are there.

    Args:
        results: Folder of all results.

    Raises:
        PageError: A record is damaged.
    """
    experiment, folder = OptimizersAgainstLength(load_rule(NAME)), results / RECORDS / NAME / PARTS
    records = {}
    try:
        for task in experiment.rule.settings["tasks"]:
            for optimizer in experiment.rule.settings["optimizers"]:
                name = part_name(task, optimizer)
                pilot = _read(folder / f"{name}_pilot.json")
                cells = [_read(folder / f"{name}_{length}.json") for length in experiment.lengths_of(optimizer)]
                if pilot is not None:
                    records[name] = {**pilot, "cells": [cell for cell in cells if cell is not None]}
        found = experiment.map_of(records)
        _table(found)
    except (ValueError, KeyError) as error:
        raise PageError(f"a record in {folder} is damaged: {error}") from error
    return experiment, found


def _read(path: Path) -> dict[str, Any] | None:
    record: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return record


def _extent(experiment: OptimizersAgainstLength, found: LengthMap) -> str:
    """How much of the plan has been done."""
    pairs = [(task, optimizer) for task in found.tasks for optimizer in found.optimizers]
    todo = [
        (*pair, length)
        for pair in pairs
        for length in experiment.lengths_of(pair[1])
        if not found.was_run(*pair, length) and found.reason(*pair, length) == "not run"
    ]
    if not todo:
        return "Everything was run."
    return (
        f"**This is a part of the map**: {len(found.records)} of {len(pairs)} pairs of a task and an optimizer were "
        "begun; what is missing is marked as *not run*."
    )


def _table(found: LengthMap) -> str:
    """Make the table of all cells."""
    rows = []
    for (task, optimizer), record in found.records.items():
        cells = {cell["length"]: _cell(cell) for cell in record["cells"]}
        texts = [cells.get(length, found.reason(task, optimizer, length)) for length in found.lengths]
        rows.append((task, optimizer, f"`{record['key']}={record['value']:g}`", *texts))
    return table(("task", "optimizer", "setting", *(f"T = {length}" for length in found.lengths)), rows)


def _cell(cell: dict[str, Any]) -> str:
    amounts = sorted(np.inf if each is None else each for each in cell["solved_after"])
    solved = f"{sum(np.isfinite(amounts))} of {len(amounts)}"
    if cell["seconds_per_sequence"] is None:
        return solved
    median = amounts[(len(amounts) - 1) // 2]
    spent = number(median) if np.isfinite(median) else "-"
    return f"{solved}, {spent} ({1e6 * cell['seconds_per_sequence']:.3g} us)"
