"""The table of problems and lengths: share solved and cost."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from omegaconf import OmegaConf

from docs.make.hf.costs import Cost, say_cost, say_solved
from docs.make.markdown import table
from rnnbench.config.compose import Composer
from rnnbench.config.request import Request
from rnnbench.records import wording
from rnnbench.reports import fields
from rnnbench.reports.groups import make_groups
from rnnbench.reports.runs import Run

COSTS: dict[Cost, str] = {"updates": "updates", "products": "products", "sequences": "sequences", "seconds": "minutes"}

PROBLEM = ("task.sequence_length", "task.name")
"""The fields of a row. The last column lists the others that vary, where they differ from their default; the sizes of
batches have a column of their own."""

_CHOICES = ("init.name", "optim.name")
"""Fields with a choice of a config group, on which the defaults of its other fields depend."""

_DECIDE = ("task.name", "task.sequence_length", *_CHOICES)
"""All fields on which defaults depend; those of the first two are the input weights."""

_BATCHES = ("optim.gradient_batch_size", "optim.curvature_batch_size")
_AS_LARGE = ("optim.backtracking_batch_size", "optim.line_search_batch_size")
"""Sizes in older records, shown only if they differ from that of the curvature batch."""

_NOT_LISTED = ("task.", "name", "budget.", "threads", "device", "record.", "probe.", fields.SWEEP)


def result_table(runs: Sequence[Run]) -> str:
    """Make a Markdown table with one row per length and problem, followed by the provenance.

    Args:
        runs: Runs of all rows, at least one.
    """
    everywhere = fields.varying_fields([run.fields for run in runs])
    everyone_has = set.intersection(*(set(run.fields) for run in runs))  # older runs lack keys that were added later
    varying = [name for name in everywhere if name in everyone_has and not name.startswith(_NOT_LISTED)]
    are_as_large = all(run.fields.get(name) == run.fields.get(_BATCHES[1]) for run in runs for name in _AS_LARGE)
    batches = [name for name in varying if name in _BATCHES]
    keys = [name for name in varying if name not in batches and not (are_as_large and name in _AS_LARGE)]
    rows = []
    for group in make_groups(runs, [*PROBLEM, *batches, *keys]):
        values = dict(zip(group.names, map(fields.format_value, group.values), strict=True))
        length, problem = (values[name] for name in PROBLEM)
        error_rate = wording.percent(group.error_rate)
        costs = [say_cost(group.runs, measure) for measure in COSTS]
        sizes = [", ".join(values[name] for name in batches)] if batches else []
        own = [", ".join(_changed({name: values[name] for name in keys}, group.runs[0]))] if keys else []
        rows.append([length, f"`{problem}`", *sizes, say_solved(group.runs), *costs, error_rate, *own])
    shows_keys = bool(keys) and any(row[-1] for row in rows)
    if keys and not shows_keys:
        rows = [row[:-1] for row in rows]
    columns = [
        "T",
        "problem",
        *(["batches"] if batches else []),
        "solved (95 %)",
        *COSTS.values(),
        "last error rate",
        *(["keys"] if shows_keys else []),
    ]
    return f"{table(columns, rows)}\n\n{provenance(runs)}"


def _changed(values: Mapping[str, str], run: Run) -> list[str]:
    """Return the keys that differ from their defaults, with their values, as on the command line.

    Args:
        values: Value of each field that is considered.
        run: A run that has these values.
    """
    chosen = (f"{name.removesuffix('.name')}={run.fields[name]}" for name in _DECIDE if name in run.fields)
    defaults = {**default_values(tuple(chosen)), **{name: default_values(())[name] for name in _CHOICES}}
    changed = {name: value for name, value in values.items() if value != defaults.get(name)}
    return [f"`{name.removesuffix('.name')}={value}`" for name, value in changed.items()]


@cache
def default_values(choices: tuple[str, ...]) -> Mapping[str, str]:
    """Return the default of each field, as on the command line.

    Args:
        choices: Choices of config groups, such as init=orthogonal.
    """
    with Composer(Request()) as composer:
        tree: Any = OmegaConf.to_container(composer.compose(list(choices)).tree, resolve=True)
    return {name: fields.format_value(value) for name, value in fields.flatten(tree).items()}


def provenance(runs: Sequence[Run]) -> str:
    """Return a sentence with the number of runs, their revisions and devices."""
    revisions = sorted({(run.summary.git or "unknown")[:7] for run in runs})
    devices = sorted({f"{run.summary.device} ({run.summary.threads} threads)" for run in runs})
    devices = [device.replace("(1 threads)", "(1 thread)") for device in devices]
    return f"{len(runs):,} runs, revision {', '.join(revisions)}, {', '.join(devices)}."
