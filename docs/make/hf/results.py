"""The table of problems and lengths: what was solved, and at what cost."""

from collections.abc import Sequence

from docs.make.hf.costs import Cost, say_cost, say_solved
from docs.make.markdown import table
from rnnbench.records import wording
from rnnbench.report import fields
from rnnbench.report.groups import make_groups
from rnnbench.report.runs import Run

COSTS: dict[Cost, str] = {"updates": "updates", "products": "products", "sequences": "sequences", "seconds": "minutes"}

PROBLEM = ("task.sequence_length", "task.name")
"""The fields that make a row; others that vary are told in its last column."""

_SAID_ELSEWHERE = ("task.", "name", "budget.", "threads", "device", "record.", "probe.")


def result_table(runs: Sequence[Run]) -> str:
    """Markdown: a row for each length and problem, and from which revision on which device.

    Args:
        runs: At least one.
    """
    everywhere = fields.varying_fields([run.fields for run in runs])
    everyone_has = set.intersection(*(set(run.fields) for run in runs))  # runs of before a key had its default
    varying = [name for name in everywhere if name in everyone_has and not name.startswith(_SAID_ELSEWHERE)]
    rows = []
    for group in make_groups(runs, [*PROBLEM, *varying]):
        length, problem, *rest = map(fields.say, group.values)
        error_rate = wording.percent(group.error_rate)
        costs = [say_cost(group.runs, measure) for measure in COSTS]
        own = ", ".join(f"`{name}={value}`" for name, value in zip(varying, rest, strict=True))
        rows.append([length, f"`{problem}`", say_solved(group.runs), *costs, error_rate, *([own] if varying else [])])
    columns = [
        "T",
        "problem",
        "solved (95 %)",
        *COSTS.values(),
        "last error rate",
        *(["keys"] if varying else []),
    ]
    return f"{table(columns, rows)}\n\n{provenance(runs)}"


def provenance(runs: Sequence[Run]) -> str:
    """One sentence: how many runs, of which revisions, where."""
    revisions = sorted({(run.summary.git or "unknown")[:7] for run in runs})
    devices = sorted({f"{run.summary.device} ({run.summary.threads} threads)" for run in runs})
    devices = [device.replace("(1 threads)", "(1 thread)") for device in devices]
    return f"{len(runs):,} runs, revision {', '.join(revisions)}, {', '.join(devices)}."
