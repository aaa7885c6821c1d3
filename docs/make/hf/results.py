"""The table of problems and lengths: share solved and cost."""

from collections.abc import Sequence

from docs.make.hf.costs import Cost, say_cost, say_solved
from docs.make.markdown import table
from rnnbench.records import wording
from rnnbench.reports import fields
from rnnbench.reports.groups import make_groups
from rnnbench.reports.runs import Run

COSTS: dict[Cost, str] = {"updates": "updates", "products": "products", "sequences": "sequences", "seconds": "minutes"}

PROBLEM = ("task.sequence_length", "task.name")
"""The fields of a row; other varying fields are listed in its last column."""

_NOT_LISTED = ("task.", "name", "budget.", "threads", "device", "record.", "probe.")


def result_table(runs: Sequence[Run]) -> str:
    """Make a Markdown table with one row per length and problem, followed by the provenance.

    Args:
        runs: Runs of all rows, at least one.
    """
    everywhere = fields.varying_fields([run.fields for run in runs])
    everyone_has = set.intersection(*(set(run.fields) for run in runs))  # older runs lack keys that were added later
    varying = [name for name in everywhere if name in everyone_has and not name.startswith(_NOT_LISTED)]
    rows = []
    for group in make_groups(runs, [*PROBLEM, *varying]):
        length, problem, *rest = map(fields.format_value, group.values)
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
    """Return a sentence with the number of runs, their revisions and devices."""
    revisions = sorted({(run.summary.git or "unknown")[:7] for run in runs})
    devices = sorted({f"{run.summary.device} ({run.summary.threads} threads)" for run in runs})
    devices = [device.replace("(1 threads)", "(1 thread)") for device in devices]
    return f"{len(runs):,} runs, revision {', '.join(revisions)}, {', '.join(devices)}."
