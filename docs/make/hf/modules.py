"""The tables of Hessian-free on torch modules, from the JSON file of `python -m benchmarks modules`."""

import statistics
from collections.abc import Mapping
from typing import Any

from docs.make.markdown import table


def module_tables(bench: Mapping[str, Any]) -> dict[str, str]:
    """Make the regions of the page, by name.

    Args:
        bench: Contents of the JSON file.
    """
    measured = bench["groups"]["modules"]
    (products,) = (one["products"] for one in measured if "products" in one)
    ways = list(dict.fromkeys(way for times in products.values() for way in times))
    rows = []
    for name, times in products.items():
        medians = [f"{1000 * statistics.median(times[way]['seconds']):.3g}" for way in ways]
        ratios = [f"{times[way]['ratio']['median']:.2f}" for way in ways[1:]]
        rows.append([name, *medians, *ratios])
    columns = ["module, float32", *(f"{way}, ms" for way in ways), *(f"{way} / rnnbench" for way in ways[1:])]
    return {
        "module_products": f"{table(columns, rows)}\n\n{_provenance(bench)}",
        "module_trainings": f"{_trainings(measured)}\n\n{_provenance(bench)}",
    }


def _trainings(measured: Any) -> str:
    """One row per problem and optimizer."""
    rows, times = [], []
    for one in measured:
        for optimizer, records in one.get("trainings", {}).items():
            unit = "products" if "HessianFree" in optimizer else "gradients"
            losses = [f"{record['loss']:.3g}" for record in records]
            rows.append([one["problem"], f"`{optimizer}`", *losses, f"{records[-1]['work']:,.0f} {unit}"])
            times.append([record["seconds"] for record in records[1:]])
    after = [f"after {min(column):.0f} s" for column in zip(*times, strict=True)]
    return table(["module", "optimizer", "loss at first", *after, "work"], rows)


def _provenance(bench: Mapping[str, Any]) -> str:
    machine, versions = bench["machine"], bench["versions"]
    packages = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    return f"1 thread, {machine['cpu']}; {packages}; revision {(bench['git'] or 'unknown')[:7]}."
