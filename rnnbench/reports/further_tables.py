"""Tables of a report on tunings, and of one that compares two sweeps."""

import math
from collections.abc import Sequence

from rnnbench.records import wording
from rnnbench.records.tuning import CONFIRMATION, SEARCH
from rnnbench.reports import fields
from rnnbench.reports.contest import is_problem, is_solver
from rnnbench.reports.groups import Group, make_groups
from rnnbench.reports.runs import Run
from rnnbench.reports.statistics import difference_interval, location_ratio
from rnnbench.reports.tables import Table, cost_table, outcome_table, percent_range

_TUNING_NOTE = (
    "Settings were drawn at random. Solve: number of settings that solve at least half of their seeds; first: how many "
    "settings were tried until one of them did. The best setting was trained again with fresh seeds."
)
_COMPARISON_NOTE = (
    "Solved runs of the settings that both sweeps have, and the difference of the shares with its 95 % interval "
    "(Newcombe). If all are solved: the ratio of sequences until solved, with its 95 % interval (Hodges-Lehmann)."
)


def tables_of(groups: Sequence[Group]) -> list[Table]:
    """Make every table of a report."""
    further = (tuning_table(groups), comparison_table(groups))
    return [outcome_table(groups), cost_table(groups), *(table for table in further if table is not None)]


def tuning_table(groups: Sequence[Group]) -> Table | None:
    """Make the table of tunings: what a search cost, and what its best setting solves; None: there is no search."""
    names = [name for name in groups[0].names if is_solver(name) or is_problem(name)]
    runs = [run for group in groups for run in group.runs]
    confirmed = {
        group.values: group
        for group in make_groups([run for run in runs if run.fields.get(fields.STAGE) == CONFIRMATION], names)
    }
    rows = []
    for tuned in make_groups([run for run in runs if run.fields.get(fields.STAGE) == SEARCH], names):
        trials = make_groups(tuned.runs, [fields.SWEEP, fields.TRIAL])
        solving = [trial.values[1] for trial in trials if 2 * trial.num_solved >= len(trial.runs)]
        best = confirmed.get(tuned.values)
        rows.append(
            (
                *map(fields.format_value, tuned.values),
                _setting(best, tuned.runs, names) if best else "-",
                *(str(len(trials)), str(len(solving)), fields.format_value(solving[0]) if solving else "-"),
                f"{best.num_solved} of {len(best.runs)}" if best else "-",
                percent_range(best.interval) if best else "-",
            )
        )
    if not rows:
        return None
    labels = (*fields.short_names(names).values(), "best setting")
    columns = (*labels, "settings", "solve", "first", "fresh seeds solved", "95 % interval")
    return Table("Tuning", columns, len(labels), rows, _TUNING_NOTE)


def comparison_table(groups: Sequence[Group]) -> Table | None:
    """Make the table that compares two sweeps; None: there are not two, or they have no setting in common."""
    names = groups[0].names
    if fields.SWEEP not in names:
        return None
    at = names.index(fields.SWEEP)
    sweeps = list(dict.fromkeys(group.values[at] for group in groups))
    if len(sweeps) != 2:
        return None
    settings: dict[tuple[fields.Value, ...], dict[fields.Value, Group]] = {}
    for group in groups:
        settings.setdefault((*group.values[:at], *group.values[at + 1 :]), {})[group.values[at]] = group
    rows = [
        (*map(fields.format_value, values), *_compared(*(own[sweep] for sweep in sweeps)))
        for values, own in settings.items()
        if len(own) == len(sweeps)
    ]
    if not rows:
        return None
    others = [name for name in names if name != fields.SWEEP]
    labels = tuple(fields.short_names(others).values())
    first, second = map(fields.format_value, sweeps)
    columns = (
        *labels,
        f"solved in {first}",
        f"in {second}",
        "difference",
        "95 % interval",
        "sequences",
        "95 % interval ",
    )
    return Table(f"{second} compared with {first}", columns, len(labels), rows, _COMPARISON_NOTE)


def _compared(first: Group, second: Group) -> tuple[str, ...]:
    """The cells that compare two groups with the same setting."""
    solved = [(group.num_solved, len(group.runs)) for group in (first, second)]
    difference = 100 * (second.share_solved - first.share_solved)
    low, high = (100 * bound for bound in difference_interval(solved[1], solved[0]))
    shares = (
        *(f"{own} of {all_runs}" for own, all_runs in solved),
        f"{difference:+.0f} %",
        f"{low:+.0f} .. {high:+.0f} %",
    )
    if any(own < all_runs for own, all_runs in solved):
        return *shares, "-", "-"
    costs = [[run.time("sequences") for run in group.runs] for group in (second, first)]
    ratio, least, most = location_ratio(*costs)
    bounds = "-" if math.isinf(most) else f"{wording.number(least)} .. {wording.number(most)}"
    return *shares, f"x {wording.number(ratio)}", bounds


def _setting(best: Group, searched: Sequence[Run], without: Sequence[str]) -> str:
    """The values of a confirmed setting in all fields that the search varied, other than some."""
    varying = fields.varying_fields([run.fields for run in searched])
    names = [name for name in varying if name not in (*without, fields.STAGE, fields.TRIAL, fields.SWEEP)]
    return fields.label(names, [best.runs[0].fields.get(name, fields.ABSENT) for name in names])
