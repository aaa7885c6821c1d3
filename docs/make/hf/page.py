"""docs/hf.md: its marked regions and its figure."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from docs.make.errors import PageError
from docs.make.hf.ablations import ablation_table
from docs.make.hf.batches import CHART_NAME, batches_table, draw_batches
from docs.make.hf.comparison import comparison_table
from docs.make.hf.results import result_table
from docs.make.markdown import fill
from rnnbench.report.run_table import read_table
from rnnbench.report.runs import Run

RESULTS = "hf"
"""Folder of the tables of runs below that of all results: T*.csv for each length; ablations, batches, small_batches."""

BENCH = Path("bench", "hf.json")


def pages(results: Path, docs: Path) -> Mapping[Path, str]:
    """The files of this page and their contents: the page, and its figure if there are records for it.

    Args:
        results: Folder of all results.
        docs: Folder of hf.md and images/.

    Raises:
        OSError: The page cannot be read.
        PageError: The record of the benchmark is damaged, a run has not ended, or the page lacks a region.
        RecordError: A table is damaged, or lacks the products of a run on the page.
    """
    page = docs / "hf.md"
    parts, figure = make_parts(results)
    made = {page: fill(page.read_text(encoding="utf-8"), parts)}
    return made if figure is None else {**made, docs / "images" / f"{CHART_NAME}.svg": figure}


def make_parts(results: Path) -> tuple[dict[str, str], str | None]:
    """The regions of the page for which there are records.

    Args:
        results: Folder of all results.

    Returns:
        Contents of each region by name, Markdown; and the figure as SVG, None if it has no records.

    Raises:
        PageError: The record of the benchmark is damaged, or a run has not ended.
        RecordError: A table is damaged, or lacks the products of a run on the page.
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
