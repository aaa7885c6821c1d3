"""Fill the marked parts of docs/hf.md, and draw its figure: `python -m rnnbench.hf_page`, in the checkout."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnnbench.exit_status import BAD_INPUT
from rnnbench.hf_page.ablations import ablation_table
from rnnbench.hf_page.batches import CHART_NAME, batches_table, draw_batches
from rnnbench.hf_page.comparison import comparison_table
from rnnbench.hf_page.regions import RegionError, fill
from rnnbench.hf_page.results import result_table
from rnnbench.records.errors import RecordError
from rnnbench.report.run_table import read_table
from rnnbench.report.runs import Run

RESULTS = "hf"
"""Below the folder of all results: T*.csv, a table of the runs of each length; ablations, batches and small_batches."""

BENCH = Path("bench", "hf.json")


class PageError(Exception):
    """Records from which the page cannot be made: one line that says what was wrong and where."""


def make_parts(results: Path) -> tuple[dict[str, str], str | None]:
    """The parts of the page for which there are records.

    Args:
        results: Folder of all results.

    Returns:
        Name of each part -> Markdown, and the figure as SVG; None where it has no records.

    Raises:
        PageError: The bench's record is damaged, or a run has not ended.
        RecordError: A table is damaged, or lacks the products of a run that the page tells of.
    """
    parts: dict[str, str] = {}
    own = results / RESULTS
    if solved := _runs(sorted(own.glob("T*.csv"))):
        parts["results"] = result_table(solved)
    if ablated := _runs([own / "ablations.csv"]):
        parts["ablations"] = ablation_table(ablated)
    if small := _runs([own / "small_batches.csv"]):
        parts["small_batches"] = ablation_table(small, ("updates", "sequences"))
    figure = None
    if sized := _runs([own / "batches.csv"]):
        parts["batches"] = batches_table(sized)
        figure = draw_batches(sized)
    if (results / BENCH).is_file() and (compared := comparison_table(_bench(results / BENCH))):
        parts["comparison"] = compared
    return parts, figure


def _runs(tables: Sequence[Path]) -> list[Run]:
    runs = [run for table in tables if table.is_file() for run in read_table(table)]
    for run in runs:
        if run.outcome in ("unfinished", "failed"):
            raise PageError(f"{run.folder}: the run is {run.outcome}: finish it by rnnbench resume, or leave it out")
    return runs


def _bench(path: Path) -> dict[str, Any]:
    try:
        contents: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PageError(f"{path} cannot be read: {error}") from error
    return contents


def main(words: Sequence[str] | None = None) -> int:
    """Fill the page.

    Args:
        words: After the name of the program; None: those that it was called with.

    Returns:
        0; 2 where a record or the page is not as it should be, in one line; nothing is written then.
    """
    parser = argparse.ArgumentParser(prog="python -m rnnbench.hf_page", description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of all results")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder of hf.md and images/")
    given = parser.parse_args(words)
    page = given.docs / "hf.md"
    try:
        parts, figure = make_parts(given.results)
        text = fill(page.read_text(encoding="utf-8"), parts)
    except (PageError, RegionError, RecordError) as error:
        print(f"hf_page: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        print(f"hf_page: {page} cannot be read: {error.strerror}", file=sys.stderr)
        return BAD_INPUT
    page.write_text(text, encoding="utf-8")
    if figure is not None:
        (given.docs / "images" / f"{CHART_NAME}.svg").write_text(figure, encoding="utf-8")
    print(f"{page}: filled {', '.join(parts) or 'nothing: there are no records'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
