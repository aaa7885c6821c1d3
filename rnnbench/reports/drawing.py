"""Figures as reproducible SVG, readable on light and dark backgrounds, on a page or alone."""

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from rnnbench.reports.fields import format_value

COLORS = ("#2f7ed8", "#e07b00", "#1f9d68", "#d0435b", "#8c67c4", "#a56a43", "#0f9bb0", "#8a8a2a")
"""Colors of the series; each has sufficient contrast to white and to near-black."""

FOREGROUND = "#1b1c1d"
"""Color of text and axes; on a page it is replaced by the text color of the page."""

MAX_SERIES = len(COLORS)
"""Maximum number of series in a figure; more cannot be distinguished."""

WIDE_RATIO = 20.0
"""Values are drawn on a logarithmic axis if the largest is more than this times the smallest."""

_SETTINGS: Any = {
    "svg.hashsalt": "rnnbench",
    "svg.fonttype": "none",
    "font.family": ["sans-serif"],
    "font.size": 9,
    "text.color": FOREGROUND,
    "axes.labelcolor": FOREGROUND,
    "axes.edgecolor": FOREGROUND,
    "xtick.color": FOREGROUND,
    "ytick.color": FOREGROUND,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "grid.color": FOREGROUND,
    "grid.alpha": 0.15,
    "legend.frameon": False,
    "legend.fontsize": 8,
}
_GROUND = ' style="background: #ffffff"'  # for a picture outside a page: its text is dark
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


@dataclass(frozen=True)
class Picture:
    """One pair of axes, with a legend below if a series has a label; drawn when it is asked for.

    Attributes:
        paint: Function that draws into the axes.
        width: Width in inches.
        height: Height in inches.
    """

    paint: Callable[[Axes], None]
    width: float = 5.2
    height: float = 3.6

    @cached_property
    def svg(self) -> str:
        """A complete SVG file."""
        return draw_figure(self._paint_figure, width=self.width, height=self.height).decode()

    def figure(self) -> Figure:
        """A figure of matplotlib, on a white background."""
        with matplotlib.rc_context(_SETTINGS):
            figure = _paint(self._paint_figure, self.width, self.height)
            figure.set_facecolor("white")
            figure.draw_without_rendering()  # makes the ticks, while the settings hold
        return figure

    def _paint_figure(self, figure: Figure) -> None:
        self.paint(figure.add_subplot())


def draw_figure(
    paint: Callable[[Figure], None], *, width: float, height: float, form: Literal["svg", "png"] = "svg"
) -> bytes:
    """Draw a figure with any number of axes and one common legend below.

    Args:
        paint: Function that adds the axes and draws into them.
        width: Width in inches.
        height: Height in inches.
        form: svg; or png on a white background, for programs that cannot show SVG.

    Returns:
        A complete file; the same figure always gives the same bytes.
    """
    with matplotlib.rc_context(_SETTINGS):
        figure = _paint(paint, width, height)
        buffer = io.BytesIO()
        if form == "png":
            figure.savefig(buffer, format=form, metadata={"Software": None}, facecolor="white", dpi=150)
            return buffer.getvalue()
        figure.savefig(buffer, format=form, metadata=_NO_METADATA, facecolor="none")
    return buffer.getvalue().replace(b"<svg ", f"<svg{_GROUND} ".encode(), 1)


class _Shown(Figure):
    """A figure that a notebook shows, also where pyplot has not been imported."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=100)
        return buffer.getvalue()


def _paint(paint: Callable[[Figure], None], width: float, height: float) -> Figure:
    """Make a figure with one common legend below."""
    figure = _Shown(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    paint(figure)
    shown = {label: handle for axes in figure.axes for handle, label in zip(*_legend_of(axes), strict=True)}
    if shown:
        columns = 1 if max(map(len, shown)) > 6 * width else 2  # two columns of long labels would be cut off
        figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=columns)
    return figure


def _legend_of(axes: Axes) -> tuple[list[Any], list[Any]]:
    handles, labels = axes.get_legend_handles_labels()
    return handles, labels


def inline(svg: str, name: str) -> str:
    """Convert a figure for use inside a page: scalable, in the page's text color, without URLs, with unique ids.

    Args:
        svg: SVG file of a `Picture`.
        name: Name of the figure, unique on the page; it becomes the prefix of all ids.
    """
    text = svg[svg.index("<svg") :].replace(_GROUND, "", 1)
    text = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg\b[^>]*?)\s+width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg\b[^>]*?)\s+height="[^"]*"', r"\1", text, count=1)
    text = text.replace("xlink:href", "href").replace(FOREGROUND, "currentColor")
    text = re.sub(r'\bid="', f'id="{name}-', text)
    return re.sub(r'(url\(|href=")#', rf"\1#{name}-", text)


def plain(text: str) -> str:
    """Escape dollar signs, which would start a formula."""
    return text.replace("$", r"\$")


def is_wide(values: Sequence[float]) -> bool:
    """Whether values are positive and span so wide a range that they need a logarithmic axis."""
    finite = [value for value in values if math.isfinite(value)]
    return bool(finite) and min(finite) > 0 and max(finite) > WIDE_RATIO * min(finite)


def set_amount_axis(axes: Axes, label: str, ends: Sequence[float]) -> None:
    """Set up the x axis for an amount that grows from 0; logarithmic if the ends of the series differ widely.

    Args:
        axes: Axes to change.
        label: Label of the axis.
        ends: Largest value of each series.
    """
    axes.set_xlabel(label)
    if is_wide(ends):
        axes.set_xscale("log")
        axes.set_xlim(left=min(ends) / WIDE_RATIO)
    else:
        axes.set_xlim(left=0)
        axes.ticklabel_format(axis="x", style="sci", scilimits=(-4, 5), useMathText=True)


def set_value_axis(axes: Axes, label: str, values: Sequence[float]) -> None:
    """Set up the x axis with a tick at each value of a field, or at some of them if there are many."""
    distinct = sorted(set(values))
    axes.set_xlabel(label)
    if is_wide(distinct):
        axes.set_xscale("log")
    shown = distinct if len(distinct) <= 9 else distinct[:: math.ceil(len(distinct) / 9)]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_value(float(value))))


def set_share_axis(axes: Axes, label: str) -> None:
    """Set up the y axis from 0 to 100 %."""
    axes.set(ylim=(-0.03, 1.03), ylabel=label)
    axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    axes.grid(visible=True)


def mark_baselines(axes: Axes, values: Sequence[float]) -> None:
    """Draw dashed lines at the scores of the constant predictors."""
    for at, value in enumerate(values):
        label = "constant predictor" if at == 0 else None
        axes.axhline(value, color=FOREGROUND, linestyle=(0, (4, 3)), linewidth=1, alpha=0.7, label=label)
