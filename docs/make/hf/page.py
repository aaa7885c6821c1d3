"""docs/hf_choices.md, docs/hf_init.md, docs/hf_results.md, docs/hf_modules.md: their marked regions and figures."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from docs.make.errors import PageError
from docs.make.hf.ablations import ablation_table
from docs.make.hf.batches import CHART_NAME, batches_table, draw_batches
from docs.make.hf.comparison import comparison_table
from docs.make.hf.first_length import PICTURE, TABLE, draw_first_length, first_order_table
from docs.make.hf.init import EXPONENTS, exponents_table
from docs.make.hf.modules import module_tables
from docs.make.hf.results import result_table
from docs.make.markdown import fill
from rnnbench.reports.run_table import read_table
from rnnbench.reports.runs import Run

RESULTS = "hf"
"""Name of the folder with the tables of runs: T*.csv by length, former_default, first_length, longest, first_order,
ablations, batches, small_batches, default_batches, warm_start, cg_factor and init; and the readings init_exponents and
first_length_probes."""

PAGE_OF_REGION = {
    "ablations": "hf_choices.md",
    "batches": "hf_choices.md",
    "small_batches": "hf_choices.md",
    "default_batches": "hf_choices.md",
    "warm_start": "hf_choices.md",
    "cg_factor": "hf_choices.md",
    "init": "hf_init.md",
    "init_exponents": "hf_init.md",
    "results": "hf_results.md",
    "former_default": "hf_results.md",
    "first_length": "hf_results.md",
    "longest": "hf_results.md",
    "first_order": "hf_results.md",
    "comparison": "hf_results.md",
    "module_products": "hf_modules.md",
    "module_trainings": "hf_modules.md",
}
"""Name of each region -> page."""

TABLES: Mapping[str, Callable[[Sequence[Run]], str]] = {
    "first_length": result_table,
    "longest": result_table,
    "first_order": first_order_table,
    "ablations": ablation_table,
    "small_batches": partial(ablation_table, measures=("updates", "sequences")),
    "default_batches": result_table,
    "warm_start": result_table,
    "cg_factor": result_table,
    "init": result_table,
    "former_default": result_table,
}
"""Name of each region, and of its table of runs -> function that makes it."""

BENCH, MODULES_BENCH = Path("bench", "hf.json"), Path("bench", "modules.json")


def pages(results: Path, docs: Path) -> Mapping[Path, str]:
    """Make the pages and figures for which there are records.

    Args:
        results: Folder of all results.
        docs: Folder of the pages and of images/.

    Returns:
        Contents of each file by its path.

    Raises:
        OSError: A page cannot be read.
        PageError: The record of the benchmark or of the probes is damaged, a run has not ended, or a page lacks a
            region.
        RecordError: A table is damaged, or lacks the products of a run on a page.
    """
    regions, figure = make_regions(results)
    made: dict[Path, str] = {}
    for name in dict.fromkeys(PAGE_OF_REGION[region] for region in regions):
        page = docs / name
        own = {region: text for region, text in regions.items() if PAGE_OF_REGION[region] == name}
        made[page] = fill(page.read_text(encoding="utf-8"), own)
    if figure is not None:
        made[docs / "images" / f"{CHART_NAME}.svg"] = figure
    if (probed := results / RESULTS / TABLE).is_file():
        made[docs / "images" / PICTURE] = draw_first_length(probed)
    return made


def make_regions(results: Path) -> tuple[dict[str, str], str | None]:
    """Make the regions for which there are records.

    Args:
        results: Folder of all results.

    Returns:
        Contents of each region by name, Markdown; and the figure as SVG, None if it has no records.

    Raises:
        PageError: The record of the benchmark is damaged, or a run has not ended.
        RecordError: A table is damaged, or lacks the products of a run.
    """
    regions: dict[str, str] = {}
    own = results / RESULTS
    if solved := _runs(sorted(own.glob("T*.csv"))):
        regions["results"] = result_table(solved)
    for name, make in TABLES.items():
        if runs := _runs([own / f"{name}.csv"]):
            regions[name] = make(runs)
    if (own / EXPONENTS).is_file():
        regions["init_exponents"] = exponents_table(own / EXPONENTS)
    figure = None
    if sized := _runs([own / "batches.csv"]):
        regions["batches"] = batches_table(sized)
        figure = draw_batches(sized)
    if (results / BENCH).is_file() and (compared := comparison_table(_bench(results / BENCH))):
        regions["comparison"] = compared
    if (results / MODULES_BENCH).is_file():
        regions |= module_tables(_bench(results / MODULES_BENCH))
    return regions, figure


def _runs(tables: Sequence[Path]) -> list[Run]:
    runs = [run for table in tables if table.is_file() for run in read_table(table)]
    for run in runs:
        if run.outcome in ("unfinished", "failed"):
            remedy = "finish it by rnnbench resume, or remove it from the table"
            raise PageError(f"{run.folder}: the run is {run.outcome}: {remedy}")
    return runs


def _bench(path: Path) -> dict[str, Any]:
    try:
        contents: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PageError(f"{path} cannot be read: {error}") from error
    return contents
