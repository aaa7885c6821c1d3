"""A run in TensorBoard: tags and descriptions of its scalars, and the charts of its CUSTOM SCALARS page.

TensorBoard sorts tags by name, groups them by the part before the first slash and opens only the first group. Capital
letters sort before small letters, and columns have small letters.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rnnbench.metrics import Metric

OVERVIEW = "Overview"
"""The first group."""

DETAILS, QUANTILES = "z_details", "z_quantiles"
"""The last groups."""

CONSTANT_PREDICTOR = {
    "loss/eval": Metric(
        "loss/constant_predictor",
        "loss of the task's best predictor that ignores its inputs but knows the step, in closed form",
        "as loss/eval",
        "a constant; a net at this loss has learned nothing yet",
        overview=2,
    ),
    "error_rate/eval": Metric(
        "error_rate/constant_predictor",
        "error rate of the task's best predictor that ignores its inputs but knows the step, in closed form",
        "1",
        "a constant; a net at this error rate has learned nothing yet",
        overview=9,
    ),
}
"""Column -> constant that TensorBoard shows with it, at every value of the column; it is not in metrics.csv."""

Series = tuple[str, str, str]
"""Columns of a line, and of the lower and upper edge of the band around it."""


@dataclass(frozen=True)
class Shown:
    """How TensorBoard shows a scalar.

    Attributes:
        tag: Name in TensorBoard.
        description: Text in Markdown, shown by the info sign next to the name.
    """

    tag: str
    description: str = ""


@dataclass(frozen=True)
class Constant:
    """A number that is recorded with every value of a column, so that both lines have the same length.

    Attributes:
        name: Name, used like that of a column.
        beside: Name of the column.
        shown: Tag and description in TensorBoard.
        value: The number.
    """

    name: str
    beside: str
    shown: Shown
    value: float


@dataclass(frozen=True)
class Chart:
    """A chart of the CUSTOM SCALARS page, by names of columns and constants.

    Attributes:
        title: Title of the chart.
        lines: Columns drawn as lines.
        bands: Lines with a band around each; used only if `lines` is empty.
    """

    title: str
    lines: Sequence[str] = ()
    bands: Sequence[Series] = ()


@dataclass(frozen=True)
class Board:
    """Contents of the TensorBoard pages of a run, or of a cell of the aggregate.

    Attributes:
        scalars: Column -> its tag and description; None: the column is not shown. The tag of any other column is its
            name.
        constants: Constants that are shown with columns.
        page: Heading of the CUSTOM SCALARS page.
        charts: Charts of this page, in order.
    """

    scalars: Mapping[str, Shown | None] = field(default_factory=dict)
    constants: Sequence[Constant] = ()
    page: str = ""
    charts: Sequence[Chart] = ()

    def shown(self, column: str) -> Shown | None:
        """Return the tag and description of a column; None: it is not shown."""
        return self.scalars.get(column, Shown(column))

    def with_columns_as_tags(self) -> "Board":
        """Return the board of a run whose tags are the names of its columns, as in runs of rnnbench 0.1.0."""
        return Board(page=self.page, charts=self.charts)

    def tags(self, columns: Sequence[str]) -> dict[str, str]:
        """Return the tags of some columns and of the constants that are shown with them, by name."""
        shown = {column: self.shown(column) for column in columns}
        shown |= {constant.name: constant.shown for constant in self.constants if constant.beside in columns}
        return {name: one.tag for name, one in shown.items() if one is not None}


PLAIN = Board()
"""Every column has its name as tag."""

_CHARTS = (
    Chart(
        "loss, beside the constant predictor's", ("loss/eval", "loss/average", "loss/constant_predictor", "loss/train")
    ),
    Chart(
        "error rate, beside the constant predictor's",
        ("error_rate/eval", "error_rate/average", "error_rate/constant_predictor"),
    ),
    Chart("loss of the answers", ("answer_loss/eval",)),
    Chart("norm of the gradient", ("gradient/norm",)),
    Chart(
        "gradient with respect to the state at the end and at the dependency's lag",
        ("state_gradient/lag_0", "state_gradient/at_dependency"),
    ),
    Chart("spectral radius of the Jacobian", ("jacobian/spectral_radius",)),
    Chart("damping", ("hf/damping",)),
)
_PAGE = "rnnbench"


def board_of(columns: Sequence[str], metrics: Iterable[Metric], baselines: Mapping[str, float]) -> Board:
    """Return the board of a run.

    Args:
        columns: Columns of the run's metrics.csv.
        metrics: Descriptions of the columns.
        baselines: Column of `CONSTANT_PREDICTOR` -> the constant predictor's value.
    """
    known = list(metrics)
    constants = [
        Constant(metric.tag, beside, _shown(metric.tag, [metric]), baselines[beside])
        for beside, metric in CONSTANT_PREDICTOR.items()
        if beside in baselines and beside in columns
    ]
    names = [*columns, *(constant.name for constant in constants)]
    charts = [Chart(chart.title, [name for name in chart.lines if name in names]) for chart in _CHARTS]
    return Board(
        {column: _shown(column, known) for column in columns},
        constants,
        _PAGE,
        [chart for chart in charts if chart.lines],
    )


def description(column: str, metric: Metric) -> str:
    """Return the description of a column in TensorBoard."""
    value = metric.match(column)
    letters = re.search("[A-Z]+$", metric.tag)
    parts = [f"{letters[0]} = {value}: {metric.formula}." if letters and value else f"{_capital(metric.formula)}."]
    if metric.unit != "1":
        parts.append(f"Unit: {metric.unit}.")
    if metric.healthy != "-":
        parts.append(f"In a run that learns: {metric.healthy}.")
    return " ".join(parts)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _shown(column: str, metrics: Iterable[Metric]) -> Shown:
    """Tag and description of a column, from its metric; if several metrics match, from the one with the longest tag."""
    fitting = [metric for metric in metrics if metric.match(column) is not None]
    if not fitting:
        return Shown(column)
    metric = max(fitting, key=lambda metric: len(metric.tag))
    tag = column
    if metric.overview:
        tag = f"{OVERVIEW}/{metric.overview}_{column}"
    elif metric.is_detail:
        tag = f"{DETAILS}/{column}"
    return Shown(tag, description(column, metric))
