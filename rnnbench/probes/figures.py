"""Figures for TensorBoard, and their PNG; each curve carries its label.

TensorBoard's page IMAGES shows every picture 350 pixels wide, and scales other sizes without smoothing. Pictures are
therefore exactly this wide, or a multiple of it within `enlarged`.

matplotlib is imported by the first picture, on the probes' thread, so that a run starts half a second earlier. Margins
are fixed: computing them from the labels takes longer than drawing.
"""

import contextlib
import io
import textwrap
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DATA, GUIDE = "#1f5fa8", "#b03a2e"

WIDTH, DOTS_PER_INCH = 5.0, 70
"""Width of every figure in inches, and its resolution: 350 pixels. A font of 10 points is 10 pixels high."""

_TITLE_SIZE, _TITLE_PAD, _TITLE_CHARACTERS = 10, 9, 52  # points; characters of a line
_scale: ContextVar[int] = ContextVar("scale", default=1)


def draw_eigenvalues(eigenvalues: Tensor) -> "Figure":
    """Draw complex eigenvalues, (k,), in the complex plane with the unit circle."""
    values = eigenvalues.numpy()
    axes = new_axes(5.2, left=0.15, right=0.97, bottom=0.11)
    angle = np.linspace(0, 2 * np.pi, 400)
    axes.plot(np.cos(angle), np.sin(angle), color=GUIDE, linewidth=1.2)
    axes.annotate("unit circle", (0, 1), (0, 3), textcoords="offset points", ha="center", color=GUIDE, fontsize=9)
    axes.scatter(values.real, values.imag, s=7, alpha=0.5, color=DATA, linewidths=0)
    finite = np.abs(values[np.isfinite(values)])
    limit = 1.15 * max(1.1, float(finite.max()) if finite.size else 1.1)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xlabel="real part", ylabel="imaginary part")
    outside = np.mean(finite > 1) if finite.size else np.nan
    set_title(axes, f"eigenvalues of the state-transition Jacobian\n{outside:.1%} outside")
    axes.grid(alpha=0.25)
    return figure_of(axes)


def draw_lag_decay(curve: Tensor) -> "Figure":
    """Draw the mean norm of dL/dh_t against the lag, (T,), on a log axis."""
    values = curve.numpy()
    lag = np.arange(len(values))
    shown = np.isfinite(values) & (values > 0)
    axes = new_axes(3.6, left=0.19, right=0.97, bottom=0.14)
    axes.plot(lag[shown], values[shown], color=DATA, marker=".", markersize=4, linewidth=1)
    if shown.any():
        axes.set_yscale("log")
        if values[shown].max() < 10 * values[shown].min():
            # Less than a decade: show one, so that a flat curve looks flat.
            middle = float(np.sqrt(values[shown].max()) * np.sqrt(values[shown].min()))
            axes.set_ylim(middle / 4, middle * 4)
        first, last = values[shown][0], values[shown][-1]
        reach = f"||dL/dh|| reaches back {lag[shown][-1]} steps"
        set_title(axes, f"{reach}\nat {last / first:.2g} times its value at the end")
    axes.set(xlabel="steps before the end of the sequence", ylabel="||dL/dh||, mean over sequences")
    axes.grid(alpha=0.25)
    return figure_of(axes)


@contextlib.contextmanager
def enlarged(scale: int) -> Iterator[None]:
    """Multiply the resolution of all pictures that are drawn in this context, in this thread."""
    token = _scale.set(scale)
    try:
        yield
    finally:
        _scale.reset(token)


def new_figure(height: float, *, left: float, right: float, bottom: float) -> "Figure":
    """Return a new figure of a height in inches; edges of its axes are shares of it, and `set_title` sets the top."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=DOTS_PER_INCH * _scale.get())
    figure.subplots_adjust(left, bottom, right, 1 - 10 / 72 / height)
    return figure


def new_axes(height: float, *, left: float, right: float, bottom: float) -> "Axes":
    """Return the axes of a new figure; see `new_figure`."""
    return new_figure(height, left=left, right=right, bottom=bottom).add_subplot()


def set_title(axes: "Axes", text: str) -> None:
    """Write a title over the whole width of a figure, in as many lines as it needs, and make room for it."""
    figure = figure_of(axes)
    lines = [line for part in text.split("\n") for line in textwrap.wrap(part, _TITLE_CHARACTERS)]
    place = figure.subplotpars
    height = (1.3 * _TITLE_SIZE * len(lines) + _TITLE_PAD + 4) / 72 / figure.get_figheight()
    figure.subplots_adjust(top=1 - height)
    middle = (0.5 - place.left) / (place.right - place.left)
    axes.set_title("\n".join(lines), fontsize=_TITLE_SIZE, x=middle, pad=_TITLE_PAD)


def figure_of(axes: "Axes") -> "Figure":
    """Return the figure that holds some axes."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def to_png(figure: "Figure") -> bytes:
    """Convert a figure to the bytes of a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    canvas: Any = FigureCanvasAgg(figure)
    canvas.print_png(buffer)  # draws once; Figure.savefig draws twice
    return buffer.getvalue()
