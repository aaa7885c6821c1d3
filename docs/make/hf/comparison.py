"""The table that compares products with other packages, from the JSON file of `python -m benchmarks hf`."""

from collections.abc import Mapping
from typing import Any

from docs.make.markdown import table


def comparison_table(bench: Mapping[str, Any]) -> str | None:
    """Make a Markdown table: one row per way, two columns per number of threads; None: nothing was compared.

    Args:
        bench: Contents of the JSON file.
    """
    tables = [one for one in bench["groups"].get("hf", []) if "comparison" in one]
    if not tables:
        return None
    rows = []
    for at, way in enumerate(tables[0]["comparison"]):
        row = [way["section"], way["name"], f"{way['difference']:.0e}"]
        for one in tables:
            times = one["comparison"][at]
            row += [f"{1000 * times['median']:.3g}", f"{times['ratio']['median']:.2f}"]
        rows.append(row)
    columns = ["", "way", "off float64"]
    for one in tables:
        threads = one["threads"]
        label = "1 thread" if threads == 1 else f"{threads} threads"
        columns += [f"ms per product, {label}", "/ rnnbench"]
    shape, machine, versions = tables[0]["shape"], bench["machine"], bench["versions"]
    rounds = len(tables[0]["comparison"][0]["seconds_per_product"])
    packages = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    note = (
        f"{shape['sequences']} sequences of {shape['steps']} steps, {shape['units']} units; median of {rounds} rounds, "
        f"{machine['cpu']}, {machine['usable_cores']} cores; {packages}; revision {(bench['git'] or 'unknown')[:7]}."
    )
    return f"{table(columns, rows)}\n\n{note}"
