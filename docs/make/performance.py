"""docs/performance.md: the tables of the engine, from the JSON files of `python -m benchmarks`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from docs.make.errors import PageError
from docs.make.markdown import fill, table

PAGE, BENCH = "performance.md", "bench"
ENGINE, CORES, GATED, TRAINING = "engine_full.json", "cores.json", "gated.json", "training.json"
HF = "hf.json"
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
        (GATED, "gated", {"gated": gated_table}),
        (TRAINING, "training", {"training": training_table}),
        (HF, "hf", {"update": update_table}),
    ):
        path = results / BENCH / name
        if path.is_file():
            reports = _reports(path, group)
            made = {region: make(reports) for region, make in makers.items()}
            regions |= {region: text for region, text in made.items() if text}
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


def gated_table(reports: Sequence[Mapping[str, Any]]) -> str:
    """Make a row for every shape: times of gradient and product of each net, divided by torch.nn's gradient."""
    heads, rows = ["(R, B, T, n)"], dict[str, list[str]]()
    for net in dict.fromkeys(one["net"] for one in reports):
        for one in (one for one in reports if one["net"] == net):
            ratios = {way: ratio["median"] for way, ratio in one["ratios"].items() if _is_auto(way)}
            heads += [_head(net, way) for way in ratios if _head(net, way) not in heads]
            shape = _label(one["shape"])
            rows.setdefault(shape, []).extend(f"{ratio:.2f}" for ratio in ratios.values())
    return table(heads, [[shape, *cells] for shape, cells in rows.items()])


def _is_auto(way: str) -> bool:
    return ", recurrence=auto, " in way


def _head(net: str, way: str) -> str:
    quantity, _, threads = way.split(", ")
    return f"{net}: {quantity}, {threads}"


def training_table(reports: Sequence[Mapping[str, Any]]) -> str:
    """Make a row for every shape: times of an update by both packages, and the ratio of their best."""
    rows = []
    for one in reports:
        cells: dict[str, list[str]] = {}
        for way, statistics in one["statistics"].items():
            cells.setdefault(way.split(",")[0], []).append(_ms(statistics["median"]))
        times = [f"{' / '.join(each)} ms" for each in cells.values()]
        rows.append([_label(one["shape"]), *times, f"{one['speed_up']:.1f}"])
    threads = " / ".join(_threads_of(way) for way in reports[0]["statistics"] if way.startswith("rnnbench"))
    packages = dict.fromkeys(way.split(",")[0] for way in reports[0]["statistics"])
    return table(["(R, B, T, n)", *(f"{name}, {threads}" for name in packages), "ratio, each at its best"], rows)


def update_table(reports: Sequence[Mapping[str, Any]]) -> str:
    """Make a row for every part of an update of hf; empty if a version measured it that kept other numbers."""
    one = next((one for one in reports if one["title"].startswith("Hessian-free") and "totals" in one), None)
    if one is None:
        return ""
    settings = [str(number) for number in one["threads"]]
    best = min(settings, key=one["totals"].__getitem__)
    rows = []
    for part, share in one["shares"][best].items():
        medians = [_ms(median(round_.get(part, 0.0) for round_ in one["seconds"][number])) for number in settings]
        if share:
            rows.append([part, *medians, f"{100 * share:.1f} %"])
    totals = [_ms(one["totals"][number]) for number in settings]
    heads = [f"ms, {_threads(int(number))}" for number in settings]
    return table(["part", *heads, f"share, {_threads(int(best))}"], [*rows, ["all", *totals, "100.0 %"]])


def _threads_of(way: str) -> str:
    return way.rsplit(", ", 1)[1]


def _speed_up(measured: float | None, predicted: float) -> str:
    return f"({predicted:.1f})" if measured is None else f"{measured:.1f} ({predicted:.1f})"


def _label(shape: Sequence[int]) -> str:
    return ", ".join(str(size) for size in shape)


def _threads(number: int) -> str:
    return "1 thread" if number == 1 else f"{number} threads"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.3g}" if seconds < 1 else f"{1000 * seconds:,.0f}"
