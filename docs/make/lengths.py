"""docs/images/solved_against_length.svg: the share of seeds that solve the adding problem, against its length."""

from collections.abc import Mapping
from pathlib import Path

from docs.make.errors import PageError
from rnnbench.reports.field_charts import success_charts
from rnnbench.reports.run_table import read_table

TABLE = "lengths.csv"
PICTURE = "solved_against_length.svg"
LENGTH, OPTIMIZER = "task.sequence_length", "optim.name"


def pages(results: Path, docs: Path) -> Mapping[Path, str]:
    """The picture and its contents; nothing if there is no record.

    Raises:
        PageError: A run has not ended, or the runs are of one length.
        RecordError: The table is damaged.
    """
    table = results / TABLE
    if not table.is_file():
        return {}
    runs = list(read_table(table))
    for run in runs:
        if run.outcome in ("unfinished", "failed"):
            raise PageError(f"{run.folder}: the run is {run.outcome}: finish it by rnnbench resume, or leave it out")
    charts = list(success_charts(runs, [LENGTH, OPTIMIZER]))
    if len(charts) != 1:
        raise PageError(f"{table} must hold runs of several lengths and optimizers")
    return {docs / "images" / PICTURE: charts[0].svg}
