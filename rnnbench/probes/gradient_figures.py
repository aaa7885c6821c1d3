"""Figures of gradients against curvature and lag; each curve carries its label."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rnnbench.probes.figures import DATA, GUIDE, new_figure, set_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COMPARED = {  # step -> what is written at its curve, and its colour
    "gradient_descent": ("gradient descent", "#7f7f7f"),
    "momentum": ("momentum", "#c77d11"),
    "newton": ("damped Newton", "#2f7d4f"),
}

_BESIDE: dict[str, Any] = {"textcoords": "offset points", "fontsize": 9}


def draw_gradient_against_curvature(
    curvature: Tensor, gradient: Tensor, progress: Mapping[str, Tensor], share: Tensor
) -> "Figure":
    """Draw the gradient's component along each eigenvector, and the progress of steps, against the curvature.

    Args:
        curvature: Eigenvalues, (k,), descending; NaN: not drawn.
        gradient: Components of the gradient, (k,).
        progress: Name of a step -> share of the way to the minimum, (k,); the name of the update is "update".
        share: Share of the gradient's squared norm along these eigenvectors, a scalar.
    """
    values, parts = curvature.numpy(), gradient.abs().numpy()
    shown = np.isfinite(values) & (values > 0) & (parts > 0)
    figure, upper, lower = _two_panels(6.4, right=0.84)
    set_title(upper, _gradient_title(values[shown], parts[shown], float(share)))
    lower.set_xlabel("curvature (eigenvalue of the Gauss-Newton matrix)")
    upper.set_ylabel("|gradient| along the eigenvector")
    lower.set_ylabel("share of the way to the minimum")
    if shown.any():
        upper.loglog(values[shown], parts[shown], "o", color=DATA, markersize=5)
        for name, (label, colour) in _COMPARED.items():
            _curve(lower, values[shown], progress[name].numpy()[shown], label, colour)
        if "update" in progress:
            _update(lower, values[shown], progress["update"].numpy()[shown])
        lower.axhline(1, color=GUIDE, linewidth=1, zorder=1)
        lower.annotate(
            "minimum", (1, 1), (4, 0), xycoords=("axes fraction", "data"), va="center", **_BESIDE, color=GUIDE
        )
    for axes in (upper, lower):
        axes.grid(alpha=0.25)
    return figure


def _gradient_title(values: NDArray[Any], parts: NDArray[Any], share: float) -> str:
    if len(values) < 2:
        return "fewer than two eigenvectors were found"
    flattest, steepest = np.argmin(values), np.argmax(values)
    return (
        f"{share:.1%} of the squared gradient lies along\n"
        f"{len(values)} directions; in the flattest, the curvature is\n"
        f"{values[flattest] / values[steepest]:.1g} and the gradient "
        f"{parts[flattest] / parts[steepest]:.1g} of the steepest's"
    )


def _curve(axes: "Axes", values: NDArray[Any], shares: NDArray[Any], label: str, colour: str) -> None:
    """Draw a step that is a smooth function of the curvature, with its name at the end of smallest curvature."""
    from matplotlib.patheffects import withStroke

    order = np.argsort(values)
    axes.loglog(values[order], shares[order], color=colour, linewidth=1.6)
    name = axes.annotate(label, (values[order][0], shares[order][0]), (6, -12), **_BESIDE, color=colour)
    name.set_path_effects([withStroke(linewidth=3, foreground="white")])  # other curves may lie behind it


def _update(axes: "Axes", values: NDArray[Any], shares: NDArray[Any]) -> None:
    """Draw the step of the update: dots where it descends, crosses where it ascends."""
    falls, rises = shares > 0, shares < 0
    over_names: dict[str, Any] = {"color": DATA, "markersize": 5, "zorder": 4}
    axes.loglog(values[falls], shares[falls], "o", **over_names)
    axes.loglog(values[rises], -shares[rises], "x", **over_names)
    label = "dots: this update; crosses: this update, uphill" if rises.any() else "dots: this update"
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom / 4, 10 * top)
    axes.annotate(label, (0.02, 0.98), xycoords="axes fraction", va="top", color=DATA, fontsize=9)


def draw_gradient_by_lag(shares: Tensor, norms: Tensor) -> "Figure":
    """Draw the share of each lag in the gradient, (T,), and the norm of its contribution on a log axis, (T,)."""
    values, sizes = shares.numpy(), norms.numpy()
    lag = np.arange(len(values))
    figure, upper, lower = _two_panels(5.6, right=0.97)
    upper.bar(lag, 100 * values, width=0.9, color=np.where(values >= 0, DATA, GUIDE).tolist())
    upper.axhline(0, color="black", linewidth=0.6)
    upper.set_ylabel("share of the gradient, %")
    shown = np.isfinite(sizes) & (sizes > 0)
    lower.plot(lag[shown], sizes[shown], color=DATA, marker=".", markersize=4, linewidth=1)
    if shown.any():
        lower.set_yscale("log")
        if sizes[shown].max() < 30 * sizes[shown].min():
            _label_parts_of_a_decade(lower)
    lower.set(xlabel="steps before the end of the sequence", ylabel="norm of each step's part")
    if np.isfinite(values).all():
        last = (len(values) + 1) // 2
        part = values[:last].sum()
        set_title(upper, f"{part:.1%} of the gradient comes from\nthe last {last} of {len(values)} steps")
    for axes in (upper, lower):
        axes.grid(alpha=0.25)
    return figure


def _label_parts_of_a_decade(axes: "Axes") -> None:
    """Label 1, 2 and 5 times the powers of ten of a log axis by short numbers, which fit into the margin."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _two_panels(height: float, *, right: float) -> "tuple[Figure, Axes, Axes]":
    """Return a figure of a height in inches with two panels, one above the other."""
    figure = new_figure(height, left=0.17, right=right, bottom=0.09)
    figure.subplots_adjust(hspace=0.08)
    upper, lower = figure.subplots(2, 1, sharex=True)
    return figure, upper, lower
