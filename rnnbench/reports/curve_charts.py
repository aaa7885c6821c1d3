"""Loss and error rate against cost: median and band over the runs of each group."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes

from rnnbench.records.quantiles import order_quantiles
from rnnbench.reports import drawing
from rnnbench.reports.chart import Cell, Chart, select_drawn
from rnnbench.reports.groups import Group
from rnnbench.reports.runs import MEASURES, Measure, Run
from rnnbench.reports.statistics import Array

Quantity = Literal["loss", "error_rate"]

MAX_PLACES = 200
"""Maximum number of positions on the axis at which the quantiles of a group are computed."""

_SHARES = (0.1, 0.5, 0.9)
_TITLES: dict[Quantity, str] = {"loss": "evaluation loss", "error_rate": "error rate"}
_AXES: dict[Measure, str] = {"updates": "updates", "sequences": "sequences processed", "seconds": "seconds of training"}
_CAPTION = (
    "Median over the runs of a group; the band covers the middle 80 %. A run that has ended keeps its last value; a "
    "diverged run counts as the worst from then on."
)
_SECONDS = " Runs that were trained together share the clock."


@dataclass(frozen=True)
class Band:
    """Quantiles over a group's runs, along an axis.

    Attributes:
        label: Label of the group.
        num_runs: Number of runs with evaluations.
        x: Positions on the axis, (k,).
        low: 10 % quantile, (k,); like the others, infinite where so many runs have diverged.
        median: Median, (k,).
        high: 90 % quantile, (k,).
    """

    label: str
    num_runs: int
    x: Array
    low: Array
    median: Array
    high: Array


def curve_charts(groups: Sequence[Group]) -> Iterator[Chart]:
    """Yield a figure for each quantity and measure of cost, if a run has an evaluation."""
    shown, note = select_drawn(groups)
    for quantity in _TITLES:
        for measure in MEASURES:
            bands = [band for group in shown if (band := make_band(group, quantity, measure)) is not None]
            if bands:
                yield _chart(bands, _baselines(shown, quantity), quantity, measure, note)


def make_band(group: Group, quantity: Quantity, measure: Measure) -> Band | None:
    """Compute quantiles over the runs of a group; None: no run has an evaluation."""
    curves = [curve for run in group.runs if (curve := _steps(run, quantity, measure)) is not None]
    if not curves:
        return None
    places = np.unique(np.concatenate([x for x, _ in curves]))
    if places.size > MAX_PLACES:
        places = places[np.linspace(0, places.size - 1, MAX_PLACES).round().astype(np.intp)]
    values = np.stack([y[np.maximum(np.searchsorted(x, places, side="right") - 1, 0)] for x, y in curves])
    low, median, high = order_quantiles(values, _SHARES)
    return Band(group.label, len(curves), places, low, median, high)


def _steps(run: Run, quantity: Quantity, measure: Measure) -> tuple[Array, Array] | None:
    """Return positions and values of a run's evaluations, (k,) each; a diverged run ends with the worst value."""
    if run.curve is None or run.curve.loss.size == 0:
        return None
    x = run.curve.x[measure]
    y = run.curve.loss if quantity == "loss" else run.curve.error_rate
    if run.outcome == "diverged":
        worst = np.inf if quantity == "loss" else 1.0
        x, y = np.append(x, max(x[-1], run.end(measure))), np.append(y, worst)
    return x, y


def _baselines(groups: Sequence[Group], quantity: Quantity) -> list[float]:
    """Return the distinct scores of the constant predictors."""
    scores = {group.baseline_loss if quantity == "loss" else group.baseline_error_rate for group in groups}
    return sorted(score for score in scores if score is not None)


def _chart(bands: Sequence[Band], baselines: Sequence[float], quantity: Quantity, measure: Measure, note: str) -> Chart:
    rows: list[tuple[Cell, ...]] = [
        (band.label, *map(float, numbers))
        for band in bands
        for numbers in zip(band.x, band.low, band.median, band.high, strict=True)
    ]
    rows += [("constant predictor", None, None, baseline, None) for baseline in baselines]
    return Chart(
        name=f"{quantity}_against_{measure}",
        title=f"{_TITLES[quantity].capitalize()} against {measure}",
        caption=_CAPTION + (_SECONDS if measure == "seconds" else "") + note,
        columns=("group", measure, "quantile_10", "median", "quantile_90"),
        rows=rows,
        picture=drawing.Picture(_painter(bands, baselines, quantity, measure)),
    )


def _painter(
    bands: Sequence[Band], baselines: Sequence[float], quantity: Quantity, measure: Measure
) -> Callable[[Axes], None]:
    def paint(axes: Axes) -> None:
        finite = [value for band in bands for part in (band.low, band.median, band.high) for value in _finite(part)]
        top = 10 * max([*finite, *baselines], default=1.0)
        opacity = 0.18 if len(bands) <= 3 else 0.07  # many opaque bands would hide each other
        for band, color in zip(bands, drawing.COLORS, strict=False):
            low, median, high = (np.minimum(part, top) for part in (band.low, band.median, band.high))
            if band.num_runs > 1:
                axes.fill_between(band.x, low, high, step="post", color=color, alpha=opacity, linewidth=0)
            marker = "o" if band.x.size == 1 else None
            axes.step(
                band.x, median, where="post", color=color, linewidth=1.6, label=drawing.plain(band.label), marker=marker
            )
        drawing.mark_baselines(axes, baselines)
        ends = [float(band.x[-1]) for band in bands if band.x[-1] > 0]
        drawing.set_amount_axis(axes, _AXES[measure], ends)
        if quantity == "error_rate":
            drawing.set_share_axis(axes, "sequences answered wrongly")
            return
        axes.set_ylabel("evaluation loss")
        axes.grid(visible=True)
        if finite and min(finite) > 0:
            axes.set_yscale("log")
            axes.set_ylim(0.7 * min([*finite, *baselines]), 1.4 * top / 10)

    return paint


def _finite(values: Array) -> list[float]:
    return [float(value) for value in values if np.isfinite(value)]
