"""The table of choices: settings with one configuration key changed, compared with the default."""

from collections import Counter
from collections.abc import Sequence

from docs.make.hf.costs import Cost, say_cost, say_ratio, say_solved
from docs.make.hf.results import provenance
from docs.make.markdown import table
from rnnbench.reports import fields
from rnnbench.reports.fields import ABSENT, Value
from rnnbench.reports.groups import Group, make_groups
from rnnbench.reports.runs import Run

PROBLEM = "task.name"
CHOICES = ("optim.", "init.")


def ablation_table(runs: Sequence[Run], measures: Sequence[Cost] = ("updates", "products")) -> str:
    """Make a Markdown table: one row per setting, the default first, and columns for each problem.

    The default of a varying key is the most frequent value. A setting is named by the keys in which it differs.

    Args:
        runs: Runs of all settings, at least one.
        measures: Costs of a solution to show before the ratio.
    """
    names = [name for name in fields.varying_fields([run.fields for run in runs]) if name.startswith(CHOICES)]
    default = {name: Counter(run.fields.get(name, ABSENT) for run in runs).most_common(1)[0][0] for name in names}
    problems = make_groups(runs, [PROBLEM])
    settings: dict[str, dict[str, Group]] = {}
    for problem in problems:
        for group in make_groups(problem.runs, names):
            settings.setdefault(_name(group, default), {})[problem.label] = group
    rows = []
    for name, of_problem in sorted(settings.items(), key=lambda setting: _place(setting[0], runs[0])):
        row = [name or "**default**"]
        for problem in problems:
            changed, base = of_problem.get(problem.label), settings.get("", {}).get(problem.label)
            if changed is None:
                row += ["-"] * (len(measures) + 2)
            else:
                row += _cells(changed, base if name else None, measures)
        rows.append(row)
    columns = [""] + [
        f"{'' if len(problems) == 1 else problem.label + ': '}{what}"
        for problem in problems
        for what in ("solved (95 %)", *measures, "cost / default's (95 %)")
    ]
    return f"{table(columns, rows)}\n\n{provenance(runs)}"


def _cells(group: Group, base: Group | None, measures: Sequence[Cost]) -> list[str]:
    ratio = "1" if base is None else say_ratio(group.runs, base.runs)
    return [say_solved(group.runs), *(say_cost(group.runs, measure) for measure in measures), ratio]


def _name(group: Group, default: dict[str, Value]) -> str:
    """Return the keys in which a group differs from the default, as on the command line; "" for the default."""
    pairs = zip(group.names, group.values, strict=True)
    return ", ".join(f"`{name}={fields.format_value(value)}`" for name, value in pairs if value != default[name])


def _place(name: str, run: Run) -> tuple[int, bool, int]:
    """Return a sort key: first the default, then single keys (those of the optimizer first), then several keys."""
    if not name:
        return 0, False, 0
    keys = [part.strip("`").partition("=")[0] for part in name.split(", ")]
    return len(keys), not keys[0].startswith(CHOICES[0]), list(run.fields).index(keys[0])
