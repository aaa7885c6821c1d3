"""Initial weights: the table of Lyapunov exponents of the driven net after its first update."""

import csv
from pathlib import Path
from statistics import median

from docs.make.errors import PageError
from docs.make.markdown import table

EXPONENTS = "init_exponents.csv"
"""Name of the table of readings: a row for each problem, init and seed, with columns of metrics.csv."""

_LARGEST, _MEAN, _SHARE = "lyapunov/largest", "lyapunov/mean", "lyapunov/share_kept"


def exponents_table(readings: Path) -> str:
    """Make a Markdown table with one row per problem and init: medians over the seeds, with the lowest and highest.

    Args:
        readings: The table of readings.

    Raises:
        PageError: It is damaged.
    """
    groups: dict[tuple[str, str], list[dict[str, str]]] = {}
    try:
        with readings.open(encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle):
                groups.setdefault((row["task"], row["init"]), []).append(row)
        rows = [
            [f"`{task}`", f"`{init}`", *(_spread(own, name) for name in (_LARGEST, _MEAN)), _percent(own)]
            for (task, init), own in groups.items()
        ]
    except (OSError, KeyError, ValueError) as error:
        raise PageError(f"{readings} cannot be read: {error}") from error
    return table(["problem", "init", "largest exponent a step", "mean exponent", "directions kept"], rows)


def _spread(rows: list[dict[str, str]], name: str) -> str:
    values = [float(row[name]) for row in rows]
    return f"{median(values):.3f} ({min(values):.3f} .. {max(values):.3f})"


def _percent(rows: list[dict[str, str]]) -> str:
    values = [100 * float(row[_SHARE]) for row in rows]
    return f"{median(values):.0f} % ({min(values):.0f} .. {max(values):.0f} %)"
