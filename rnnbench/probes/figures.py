"""Pictures for TensorBoard, as PNG, readable without a legend.

matplotlib is imported by the first picture, on the probes' thread: half a second by which a run begins earlier. Margins
are fixed: to find them from the labels takes longer than to draw.
"""

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DATA, GUIDE = "#1f5fa8", "#b03a2e"


def draw_eigenvalues(eigenvalues: Tensor) -> bytes:
    """Eigenvalues (k,), complex, in the complex plane with the unit circle."""
    values = eigenvalues.numpy()
    axes = new_axes(4.6, 4.6, left=0.15, right=0.97, bottom=0.11, top=0.88)
    angle = np.linspace(0, 2 * np.pi, 400)
    axes.plot(np.cos(angle), np.sin(angle), color=GUIDE, linewidth=1.2)
    axes.annotate("unit circle", (0, 1), (0, 3), textcoords="offset points", ha="center", color=GUIDE, fontsize=9)
    axes.scatter(values.real, values.imag, s=7, alpha=0.5, color=DATA, linewidths=0)
    finite = np.abs(values[np.isfinite(values)])
    limit = 1.15 * max(1.1, float(finite.max()) if finite.size else 1.1)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xlabel="real part", ylabel="imaginary part")
    axes.set_title(
        f"eigenvalues of the state-transition Jacobian\n{np.mean(finite > 1) if finite.size else np.nan:.1%} outside",
        fontsize=10,
    )
    axes.grid(alpha=0.25)
    return to_png(axes.get_figure(root=True))


def draw_lag_decay(curve: Tensor) -> bytes:
    """Mean norm of dL/dh_t against the lag, (T,), on a log axis."""
    values = curve.numpy()
    lag = np.arange(len(values))
    shown = np.isfinite(values) & (values > 0)
    axes = new_axes(5.6, 3.6, left=0.19, right=0.97, bottom=0.13, top=0.91)
    axes.plot(lag[shown], values[shown], color=DATA, marker=".", markersize=4, linewidth=1)
    if shown.any():
        axes.set_yscale("log")
        if values[shown].max() < 10 * values[shown].min():
            # Less than a decade: show one, so that a flat curve looks flat.
            middle = float(np.sqrt(values[shown].max()) * np.sqrt(values[shown].min()))
            axes.set_ylim(middle / 4, middle * 4)
        first, last = values[shown][0], values[shown][-1]
        axes.set_title(
            f"||dL/dh|| reaches back {lag[shown][-1]} steps at {last / first:.2g} times its value at the end",
            fontsize=10,
            loc="right",
        )
    axes.set(xlabel="steps before the end of the sequence", ylabel="||dL/dh||, mean over sequences")
    axes.grid(alpha=0.25)
    return to_png(axes.get_figure(root=True))


def new_axes(width: float, height: float, *, left: float, right: float, bottom: float, top: float) -> "Axes":
    """Axes of a new figure of a size in inches, with their edges as shares of it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(left, bottom, right, top)
    return figure.add_subplot()


def to_png(figure: "Figure | None") -> bytes:
    """A figure as the bytes of a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    canvas: Any = FigureCanvasAgg(figure)
    canvas.print_png(buffer)  # draws once; Figure.savefig draws twice, to see first what there is
    return buffer.getvalue()
