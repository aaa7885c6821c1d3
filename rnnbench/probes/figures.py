"""Pictures for TensorBoard, as PNG, readable without a legend."""

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

DATA, GUIDE = "#1f5fa8", "#b03a2e"


def draw_eigenvalues(eigenvalues: Tensor) -> bytes:
    """Eigenvalues (k,), complex, in the complex plane with the unit circle."""
    values = eigenvalues.numpy()
    figure = Figure(figsize=(4.6, 4.6), layout="constrained")
    axes = figure.add_subplot()
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
    return to_png(figure)


def draw_lag_decay(curve: Tensor) -> bytes:
    """Mean norm of dL/dh_t against the lag, (T,), on a log axis."""
    values = curve.numpy()
    lag = np.arange(len(values))
    shown = np.isfinite(values) & (values > 0)
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(lag[shown], values[shown], color=DATA, marker=".", markersize=4, linewidth=1)
    if shown.any():
        axes.set_yscale("log")
        if values[shown].max() < 10 * values[shown].min():
            # Less than a decade: show one, so that a flat curve looks flat.
            middle = float(np.sqrt(values[shown].max() * values[shown].min()))
            axes.set_ylim(middle / 4, middle * 4)
        first, last = values[shown][0], values[shown][-1]
        axes.set_title(
            f"||dL/dh|| reaches back {lag[shown][-1]} steps at {last / first:.2g} times its value at the end",
            fontsize=10,
        )
    axes.set(xlabel="steps before the end of the sequence", ylabel="||dL/dh||, mean over sequences")
    axes.grid(alpha=0.25)
    return to_png(figure)


def to_png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.set_canvas(FigureCanvasAgg(figure))
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
