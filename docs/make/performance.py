"""docs/performance.md: the tables of the engine, from the JSON files of `python -m benchmarks`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from docs.make.errors import PageError
from docs.make.markdown import fill, table

PAGE, BENCH = "performance.md", "bench"
ENGINE, CORES = "engine_full.json", "cores.json"
QUANTITIES = ("gradient", "product")


def pages(results: Path, docs: Path) -> Mapping[Path, str]:
    """Make the page with the tables for which there are records.

    Args:
        results: Folder of all results.
        docs: Folder of the pages.

    Raises:
        OSError: The page cannot be read.
        PageError: A record is damaged, or the page lacks a region.
    """
    regions: dict[str, str] = {}
    for name, group, makers in (
        (ENGINE, "engine", {"engine": engine_table, "engine_steps": steps_table}),
        (CORES, "cores", {"cores": cores_table}),
    ):
        path = results / BENCH / name
        if path.is_file():
            reports = _reports(path, group)
            regions |= {region: make(reports) for region, make in makers.items()}
    page = docs / PAGE
    return {page: fill(page.read_text(encoding="utf-8"), regions, "performance")} if regions else {}


def _reports(path: Path, group: str) -> Sequence[Mapping[str, Any]]:
    try:
        reports: Sequence[Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["groups"][group]
    except (OSError, ValueError, KeyError) as error:
        raise PageError(f"{path} cannot be read: {error!r}") from error
    return reports


def engine_table(reports: Sequence[Mapping[str, Any]]) -> str:
    """Make a row for every shape: time, share of the peak if it was measured, and ratio to the fastest peer."""
    cells: dict[tuple[int, ...], list[str]] = {}
    threads = sorted({one["threads"] for one in reports if "shape" in one})
    for quantity in QUANTITIES:
        for number in threads:
            for one in reports:
                if "shape" in one and one["threads"] == number:
                    cells.setdefault(tuple(one["shape"].values()), []).append(_cell(one, quantity))
    heads = [f"{quantity}, {_threads(number)}" for quantity in QUANTITIES for number in threads]
    return table(["(R, B, T, n)", *heads], [[_label(shape), *row] for shape, row in cells.items()])


def _cell(report: Mapping[str, Any], quantity: str) -> str:
    row = next(row for row in report["rows"] if row["section"] == quantity)  # ours is the first of its section
    peer = report["fastest_peer"][quantity]
    share = f", **{row['share_of_peak']['median']:.2f}**" if "share_of_peak" in row else ""
    return f"{_ms(row['median'])}{share}, {peer['ratio']:.2f} of {peer['name']}"


def steps_table(reports: Sequence[Mapping[str, Any]]) -> str:
    """Make a row for every number of steps of a gradient on one thread."""
    report = next(one for one in reports if one.get("axis") == "steps" and one["threads"] == 1)
    rows = [[f"{row['size']}", _ms(row["median"]), f"{row['peak_bytes'] / 2**20:.0f}"] for row in report["rows"]]
    return table(["T", "ms", "MiB"], rows)


def cores_table(reports: Sequence[Mapping[str, Any]]) -> str:
    """Make a row for every shape and quantity: measured and predicted speed-up for every number of threads."""
    numbers = list(reports[0]["speed_ups"])
    rows = [
        [_label(tuple(one["shape"].values())), one["name"].removeprefix("rnnbench "), str(one["prediction"]["tiles"])]
        + [_speed_up(*pair) for pair in one["speed_ups"].values()]
        for one in reports
    ]
    return table(["(R, B, T, n)", "", "tiles", *(_threads(int(number)) for number in numbers)], rows)


def _speed_up(measured: float | None, predicted: float) -> str:
    return f"({predicted:.1f})" if measured is None else f"{measured:.1f} ({predicted:.1f})"


def _label(shape: Sequence[int]) -> str:
    return ", ".join(str(size) for size in shape)


def _threads(number: int) -> str:
    return "1 thread" if number == 1 else f"{number} threads"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.3g}"
