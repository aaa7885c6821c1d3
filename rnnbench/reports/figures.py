"""All figures of a report, each drawn only if the data allow it."""

from collections.abc import Iterator, Sequence

from rnnbench.records.tuning import CONFIRMATION
from rnnbench.reports import fields
from rnnbench.reports.chart import Chart
from rnnbench.reports.curve_charts import curve_charts
from rnnbench.reports.field_charts import sensitivity_charts, success_charts
from rnnbench.reports.groups import Group
from rnnbench.reports.heat_map import heat_maps
from rnnbench.reports.optimizer_charts import optimizer_charts
from rnnbench.reports.runs import Run
from rnnbench.reports.survival_chart import survival_charts


def make_charts(runs: Sequence[Run], groups: Sequence[Group], names: Sequence[str]) -> Iterator[Chart]:
    """Draw every figure.

    Args:
        runs: All runs of the report.
        groups: The same runs, grouped by `names`.
        names: Fields that make the groups.
    """
    explored = [run for run in runs if run.fields.get(fields.STAGE) != CONFIRMATION]
    compared = [name for name in names if name != fields.STAGE]
    yield from optimizer_charts(groups)
    yield from heat_maps(explored, compared)
    yield from success_charts(explored, compared)
    yield from survival_charts(groups)
    yield from sensitivity_charts(explored, compared)
    yield from curve_charts(groups)
