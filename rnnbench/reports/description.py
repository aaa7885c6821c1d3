"""Texts of a report: what was run and how it ended, for readers without prior knowledge."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rnnbench.paths import conf_dir
from rnnbench.records import wording
from rnnbench.records.tuning import CONFIRMATION
from rnnbench.reports import fields
from rnnbench.reports.fields import ABSENT, CHOICES, SEED, Value
from rnnbench.reports.finding import Problem
from rnnbench.reports.groups import Group, best_first, by_task, of_stage
from rnnbench.reports.runs import MEASURES, Run
from rnnbench.reports.tables import amount, percent_range

SOLVED_MEANS = (
    "A run trains one recurrent net from one seed. It is tested on sequences that it was not trained on. It counts as "
    "solved when its error rate, the share of sequences it answers wrongly, stays below the task's limit (1 % or so) "
    "at three tests in a row, or at the last one of its budget, and on 10,000 further sequences. A net that has "
    "learned nothing does as well as the constant predictor: the best answer that ignores its input."
)

GOAL = "# Goal: "
"""Begins the line of a task's file in conf/ that says what a net has to do."""

_NAMES = {"task": "Task", "model": "Model", "init": "Initialization", "optim": "Optimizer", "schedule": "Schedule"}
_MAIN: Mapping[str, tuple[str, ...]] = {
    "task": ("sequence_length", "variant"),
    "model": ("hidden_size", "num_layers", "nonlinearity"),
    "init": ("spectral_radius", "input_scale"),
    "optim": ("lr", "momentum", "batch_size", "clip_norm", "damping", "structural_damping", "gradient_batch_size"),
    "schedule": ("warmup", "length", "step_size", "gamma"),
}
_TECHNICAL = ("name", "probe.", "record.", "device", "threads")
_MAX_VARIED = 8
_MAX_TASKS = 5


def title(runs: Sequence[Run], num_waiting: int) -> str:
    """Return the title: "adding, rnn, nag: 32 runs", or "..: 20 of 32 runs" if some jobs have no records."""
    names = [_names(runs, group) for group in ("task", "model", "optim")]
    what = ", ".join(name for name in names if name)
    num_all = wording.count(len(runs) + num_waiting, "run")
    count = f"{len(runs):,} of {num_all}" if num_waiting else num_all
    return f"{what}: {count}" if what else count


def headline(everything: Group) -> str:
    """Return the share solved: "412 of 512 runs solved: 80.5 % (95 % interval 77 .. 84 %)"."""
    solved, share = everything.num_solved, wording.percent(everything.share_solved)
    return f"{solved:,} of {wording.count(len(everything.runs), 'run')} solved: {share} ({interval(everything)})"


def interval(group: Group) -> str:
    """Return the interval of the share solved: "95 % interval 77 .. 84 %"."""
    return f"95 % interval {percent_range(group.interval)}"


def state(everything: Group, num_waiting: int) -> str:
    """Return the progress if not all runs have ended: "Not complete: 96 runs unfinished; 128 jobs without records."."""
    parts = []
    if everything.counts["unfinished"]:
        parts.append(f"{wording.count(everything.counts['unfinished'], 'run')} unfinished")
    if num_waiting:
        parts.append(f"{wording.count(num_waiting, 'job')} without records yet, not counted here")
    return f"Not complete: {'; '.join(parts)}." if parts else ""


def problems(found: Sequence[Problem]) -> str:
    """Return the number of folders with problems."""
    return f"{wording.count(len(found), 'folder')} with missing or damaged records"


def repeats(found: Sequence[tuple[Path, Path]]) -> str:
    """Return the number of repeated runs that are not counted."""
    return f"{wording.count(len(found), 'run')} not counted: same configuration and seed as another run"


def best_lines(everything: Group, groups: Sequence[Group]) -> list[str]:
    """Return the cost of a solution or, if several settings were tried, the best setting for each task variant.

    Args:
        everything: All runs.
        groups: The same runs, grouped by fields.

    Returns:
        At least one line.
    """
    tasks = by_task(groups)
    if len(tasks) == len(groups):  # one setting per task variant: nothing to compare
        return [_outcome(everything), *_unconfirmed(everything)]
    lines = [_best_line(alike) for alike in tasks]
    if len(lines) > _MAX_TASKS:
        lines[_MAX_TASKS:] = [f"and {len(lines) - _MAX_TASKS} more, in the table."]
    return [*lines, *_unconfirmed(everything)]


def _unconfirmed(everything: Group) -> list[str]:
    """Return a line on runs whose final error rate is below the limit but not confirmed, if there are any."""
    count = sum(run.summary.is_unconfirmed for run in everything.runs)
    if not count:
        return []
    what = "is below the limit at the end, but not on 10,000 further sequences: not solved"
    return [f"The error rate of {wording.count(count, 'run')} {what}."]


def _outcome(everything: Group) -> str:
    """Return the cost of a solution."""
    if everything.num_solved == 0:
        return "No run has been solved." if len(everything.runs) > 1 else "It has not been solved."
    cost = _median_cost(everything).removeprefix("; ")
    return f"{cost[0].upper()}{cost[1:]}." if cost else "Fewer than half of the runs have been solved."


def _best_line(groups: Sequence[Group]) -> str:
    """Return the best of some settings for one task variant, and how many others may be as good."""
    confirmed = of_stage(groups, CONFIRMATION)  # the best of many is partly luck, which fresh seeds show
    best, *others = best_first(confirmed or groups)
    num_settings = len(groups) - len(confirmed)
    which = wording.count(num_settings, "setting") + (f" for {best.task}" if best.task else "")
    if best.num_solved == 0:
        rates = f"{wording.percent(best.error_rate)}, constant predictor {wording.percent(best.baseline_error_rate)}"
        return f"None of {which} solved it. Closest: {best.setting or best.label} (error rate {rates})."
    rivals = sum(not best.is_better_than(other) for other in others)
    doubt = f" {rivals} of the others may be as good: the differences are not significant." if rivals else ""
    solved = f"{best.num_solved} of {len(best.runs)} solved ({interval(best)}){_median_cost(best)}"
    return f"Best of {which}: {best.setting or best.label}, {solved}.{doubt}"


def _median_cost(group: Group) -> str:
    """Return the median cost of a solution; "" if fewer than half of the runs are solved."""
    medians = {measure: group.not_yet_solved(measure).time(0.5) for measure in MEASURES}
    updates, sequences, seconds = medians.values()
    if updates is None or sequences is None or seconds is None:
        return ""
    words = f"{amount(updates, 'updates')} updates, {amount(sequences, 'sequences')} sequences"
    which = "half of the runs" if len(group.runs) > 1 else "solved"
    return f"; {which} within {words}, {amount(seconds, 'seconds')}"


def facts(runs: Sequence[Run], groups: Sequence[Group]) -> list[tuple[str, str]]:
    """Describe what was run, as pairs of heading and text.

    Args:
        runs: All runs of the report.
        groups: The same runs, grouped by fields.
    """
    names = groups[0].names
    rows = []
    for group in CHOICES:
        name = _names(runs, group)
        if name and (group != "schedule" or name != "constant"):
            goal = goal_of(name) if group == "task" else None
            sentence = f": {goal}" if goal else ""
            details = _details(runs, group)
            rows.append((_NAMES[group], f"{name}{sentence}{f' ({details})' if details else ''}"))
    seeds = sorted({run.fields[SEED] for run in runs if SEED in run.fields}, key=fields.order)
    if seeds:
        ends = " .. ".join(fields.format_value(seed) for seed in dict.fromkeys((seeds[0], seeds[-1])))
        rows.append(("Seeds", f"{len(seeds)} ({ends}){_sizes(groups)}"))
    budget = [
        f"{name}={fields.format_value(value)}" for name, value in _common(runs, "budget.").items() if value is not None
    ]
    if budget:
        rows.append(("Budget", ", ".join(budget)))
    rows += [(f"Compared: {name}", fields.format_values(_values(runs, name), 12)) for name in names]
    others = [name for name in fields.varying_fields([run.fields for run in runs]) if name not in names]
    others = [name for name in others if not name.startswith(_TECHNICAL) and _all_have(runs, name)]
    if others:
        words = [f"{name} ({fields.format_values(_values(runs, name), 4)})" for name in others[:_MAX_VARIED]]
        rows.append(("Other differences", "; ".join(words) + ("; .." if len(others) > _MAX_VARIED else "")))
    return rows


def goal_of(task: str) -> str | None:
    """What a net has to do in a task of the package; None: it is no such task, or its file does not say.

    Args:
        task: Name of the task.
    """
    path = next((path for path in (conf_dir() / "task").glob("*.yaml") if path.stem == task), None)
    lines = [] if path is None else path.read_text(encoding="utf-8").splitlines()
    return next((line.removeprefix(GOAL).strip() for line in lines if line.startswith(GOAL)), None)


def _sizes(groups: Sequence[Group]) -> str:
    """Return the number of runs in each of several groups."""
    if len(groups) == 1:
        return ""
    sizes = sorted(len(group.runs) for group in groups)
    size = f"{sizes[0]}" if sizes[0] == sizes[-1] else f"{sizes[0]} to {sizes[-1]}"
    return f": {size} {'run' if size == '1' else 'runs'} for each of {len(groups)} combinations of the compared fields"


def common_settings(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Return all fields in which the runs agree, with their values."""
    return [(name, fields.format_value(value)) for name, value in _common(runs, "", keep_prefix=True).items()]


def made_with(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Return versions, revisions and devices of the runs."""
    packages = {name: None for run in runs for name in run.summary.versions}
    rows = [(name, {str(run.summary.versions.get(name, ABSENT)) for run in runs}) for name in packages]
    rows += [
        ("revision", {str(run.summary.git or ABSENT) for run in runs}),
        ("device", {str(run.summary.device or ABSENT) for run in runs}),
        ("threads", {ABSENT if run.summary.threads is None else str(run.summary.threads) for run in runs}),
    ]
    return [(name, ", ".join(sorted(values))) for name, values in rows if values != {ABSENT}]


def _values(runs: Sequence[Run], name: str) -> list[Value]:
    return [run.fields.get(name, ABSENT) for run in runs]


def _all_have(runs: Sequence[Run], name: str) -> bool:
    return all(name in run.fields for run in runs)


def _names(runs: Sequence[Run], group: str) -> str:
    """Return the choices of a config group, in order."""
    present = {run.fields[f"{group}.name"] for run in runs if f"{group}.name" in run.fields}
    return fields.format_values(list(present))


def _details(runs: Sequence[Run], group: str) -> str:
    """Return the main settings of a config group in which all runs agree."""
    common = _common(runs, f"{group}.")
    return ", ".join(
        f"{name}={fields.format_value(common[name])}" for name in _MAIN[group] if common.get(name) is not None
    )


def _common(runs: Sequence[Run], prefix: str, *, keep_prefix: bool = False) -> dict[str, Value]:
    """Return the fields with a prefix in which all runs agree."""
    first = runs[0].fields
    names = [name for name in fields.all_fields([first]) if name.startswith(prefix)]
    common = [name for name in names if all(run.fields.get(name, ABSENT) == first[name] for run in runs)]
    return {name if keep_prefix else name.removeprefix(prefix): first[name] for name in common}
