"""Figures of Jacobians and their products; each line carries its name, and the title states the result.

Values that may underflow are given as natural logarithms and drawn on an axis of powers of ten.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rnnbench.probes.figures import DATA, GUIDE, figure_of, new_axes, set_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OTHER = "#4b8b3b"
LN10 = math.log(10)


def draw_moduli(moduli: Tensor, singular_values: Tensor) -> "Figure":
    """Draw eigenvalue moduli and singular values by rank, (samples, s) each, in descending order."""
    axes = _axes()
    is_known = (moduli.isfinite() & singular_values.isfinite()).all(1)
    if not is_known.any():
        return _nothing(axes, "eigenvalues and singular values")
    moduli, singular_values = moduli[is_known], singular_values[is_known]
    rank = np.arange(1, moduli.shape[1] + 1)
    curves = {}
    for name, values, color in (("singular values", singular_values, DATA), ("|eigenvalues|", moduli, GUIDE)):
        sizes = np.log10(np.maximum(values.numpy(), 1e-300))
        axes.plot(rank, sizes.T, color=color, alpha=0.25, linewidth=0.7)
        curves[name] = sizes.mean(0)
        axes.plot(rank, curves[name], color=color, linewidth=2)
    axes.axhline(0, color="#888888", linewidth=0.8)
    low = min(float(np.quantile(curve, 0.02)) for curve in curves.values())
    low, high = max(low, -12) - 0.3, max(0.0, *(float(curve.max()) for curve in curves.values())) + 0.5
    axes.set_ylim(low, high)
    # Place the names where the curves differ: the singular values are larger at the left and smaller at the right.
    for name, place, offset, color in (("singular values", 0, 6, DATA), ("|eigenvalues|", len(rank) // 2, -20, GUIDE)):
        height = float(np.clip(curves[name][place], low, high))
        _name(axes, name, (1, height), (10, offset), color)
    _powers_of_ten(axes)
    step, spectrum = (float(values[:, 0].mean()) for values in (singular_values, moduli))
    set_title(axes, f"one step amplifies at most {step:.3g} times;\nthe largest |eigenvalue| is {spectrum:.3g}")
    axes.set(xlabel="rank", ylabel="of the state-transition Jacobian")
    return figure_of(axes)


def draw_push(growth: Tensor, size: float) -> "Figure":
    """Draw the growth of a push along the leading eigenvector.

    Args:
        growth: ln(growth), (3, steps + 1, samples): of the net, by the product, by the eigenvalue.
        size: Norm of the push.
    """
    axes = _axes(right=0.7)
    powers = growth.numpy() / LN10
    steps = np.arange(powers.shape[1])
    lines = []
    for curves, color, name in zip(
        powers, (DATA, OTHER, GUIDE), ("the net", "product of Jacobians", "its eigenvalue says"), strict=True
    ):
        curves = curves[:, np.isfinite(curves).all(0)]
        if not curves.size:
            continue
        style = "--" if color == OTHER else "-"
        axes.plot(steps, curves, color=color, alpha=0.15, linewidth=0.7)
        axes.plot(steps, curves.mean(1), color=color, linewidth=2, linestyle=style)
        lines.append((float(curves.mean(1)[-1]), name, color))
    axes.axhline(0, color="#888888", linewidth=0.8)
    _name_lines(axes, steps[-1], lines)
    _powers_of_ten(axes)
    ends = {name: f"{_power(value)} times" for value, name, _ in lines}
    real, predicted = ends.get("the net", "0 times"), ends.get("its eigenvalue says", "0 times")
    pushed = f"a push of {size:g} along the leading eigenvector:"
    set_title(axes, f"{pushed}\n{real} after {steps[-1]} steps,\nby its eigenvalue {predicted}")
    axes.set(xlabel="steps after the push", ylabel="size of the push, over its first")
    axes.locator_params(axis="x", integer=True)
    return figure_of(axes)


def draw_product_norms(lags: Sequence[int], log_norms: Tensor) -> "Figure":
    """Draw the spectral norm of dh_T/dh_t against the lag, from its logarithms, (lags, sequences)."""
    axes = _axes()
    powers = log_norms.numpy() / LN10
    lag = np.array(lags)
    mean = powers.mean(1)
    axes.plot(lag, np.where(np.isfinite(powers), powers, np.nan), color=DATA, alpha=0.35, linewidth=0.8)
    axes.plot(lag, np.where(np.isfinite(mean), mean, np.nan), color=DATA, linewidth=2)
    axes.axhline(0, color="#888888", linewidth=0.8)
    _name(axes, "1: neither grows nor shrinks", (0.98 * lag[-1], 0), (0, 3), "#666666", "right")
    axes.set_xlim(0, max(1, lag[-1]))
    known = np.flatnonzero(np.isfinite(mean))
    if not known.size:
        return _nothing(axes, "the product of Jacobians")
    last, end = int(lag[known[-1]]), mean[known[-1]]
    if last == 0:
        set_title(axes, "a change of the state is gone after one step: the product is exactly 0")
    else:
        rate, verb = 10 ** (end / last), "grows" if end > 0 else "shrinks"
        change = f"{verb} to {_power(end)} times\nits size over {last} steps, {rate:.3g} a step"
        set_title(axes, f"a change of the state {change}")
    _at_least_a_decade(axes)
    low, high = axes.get_ylim()
    axes.set_ylim(low, max(high, 0.1 * (high - low)))  # room for the name of the line at 1
    _powers_of_ten(axes)
    axes.set(xlabel="lag T - t", ylabel="||dh_T / dh_t||, largest singular value")
    return figure_of(axes)


def draw_product_singular_values(lags: Sequence[int], logarithms: Tensor) -> "Figure":
    """Draw singular values of dh_T/dh_t against the lag, from their logarithms, (lags, s)."""
    axes = _axes(right=0.7)
    powers = logarithms.numpy() / LN10
    size = powers.shape[1]
    ranks = sorted({1, 2, 3, *(max(1, round(share * size)) for share in (0.1, 0.25, 0.5, 0.75, 1.0))})
    ranks = [rank for rank in ranks if rank <= size]
    lines = []
    for position, rank in enumerate(ranks):
        curve = np.where(np.isfinite(powers[:, rank - 1]), powers[:, rank - 1], np.nan)
        color = _shade(position / max(1, len(ranks) - 1))
        axes.plot(lags, curve, color=color, linewidth=1.6, marker=".")
        known = np.flatnonzero(np.isfinite(curve))
        if not known.size:
            return _nothing(axes, "the product of Jacobians")
        lines.append((float(curve[known[-1]]), f"{_ordinal(rank)} largest" if rank > 1 else "largest", color))
    axes.axhline(0, color="#888888", linewidth=0.8)
    _at_least_a_decade(axes)
    _name_lines(axes, lags[-1], lines)
    _powers_of_ten(axes)
    within = int((powers[-1] > powers[-1].max() - 1).sum())
    set_title(axes, f"over {lags[-1]} steps {within} of {size} directions\nkeep within a factor of 10 of the strongest")
    axes.set(xlabel="lag T - t", ylabel="singular values of dh_T / dh_t")
    return figure_of(axes)


def draw_lyapunov(spectrum: Tensor, num_steps: int) -> "Figure":
    """Draw Lyapunov exponents by rank, (sequences, s)."""
    axes = _axes()
    values = spectrum.numpy()
    rank = np.arange(1, values.shape[1] + 1)
    shown = np.where(np.isfinite(values), values, np.nan)
    axes.plot(rank, shown.T, color=DATA, alpha=0.4, linewidth=0.8)
    axes.plot(rank, values.mean(0), color=DATA, linewidth=2, marker=".", markersize=4)
    axes.axhline(0, color=GUIDE, linewidth=1.2)
    _name(axes, "0: neither grows nor shrinks", (rank[-1], 0), (0, 3), GUIDE, "right")
    axes.set_xlim(0.5, rank[-1] + 0.5)
    low, high = axes.get_ylim()
    axes.set_ylim(low, max(high, 0.1 * (high - low)))  # room for the name where all exponents are below 0
    largest = float(values[:, 0].mean())
    if math.isnan(largest):
        return _nothing(axes, "Lyapunov exponents")
    if abs(largest) * num_steps < 1:
        meaning = f"keeps its state over the {num_steps} steps"
    elif largest > 0:
        meaning = "small changes grow: chaos"
    else:
        meaning = (
            f"forgets by a factor of e in {-1 / largest:.3g} steps" if math.isfinite(largest) else "forgets at once"
        )
    set_title(axes, f"largest Lyapunov exponent {largest:.3g} per step:\n{meaning}")
    axes.set(xlabel="rank", ylabel="Lyapunov exponent, ln per step")
    return figure_of(axes)


def _axes(*, right: float = 0.97) -> "Axes":
    """Make axes in a new figure; the right margin leaves room for the names of lines."""
    # Fixed margins: an automatic layout draws twice.
    axes = new_axes(3.8, left=0.17, right=right, bottom=0.13)
    axes.grid(alpha=0.25)
    return axes


def _name(
    axes: "Axes",
    text: str,
    place: tuple[float, float],
    offset: tuple[float, float],
    color: str,
    horizontal: Literal["left", "right"] = "left",
    *,
    vertical: Literal["center", "baseline"] = "baseline",
) -> None:
    """Write a name near a place, some points away from it."""
    style: dict[str, Any] = {"fontsize": 9, "ha": horizontal, "va": vertical, "color": color}
    axes.annotate(text, place, offset, textcoords="offset points", annotation_clip=False, **style)


def _nothing(axes: "Axes", what: str) -> "Figure":
    """Return a figure whose title says that the values are not finite."""
    set_title(axes, f"{what}: not finite")
    return figure_of(axes)


def _powers_of_ten(axes: "Axes") -> None:
    """Label an axis of decimal logarithms with powers of ten."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

    low, high = axes.get_ylim()
    if high - low > 2:
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        decades = range(math.floor(low), math.ceil(high))
        digits = (1, 1.5, 2, 3, 5, 7) if high - low < 1.2 else (1, 2, 5)
        places = [decade + math.log10(digit) for decade in decades for digit in digits]
        axes.yaxis.set_major_locator(FixedLocator([place for place in places if low <= place <= high]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))


def _power(exponent: float) -> str:
    """Format 10 to an exponent in few characters."""
    if abs(exponent) < 3:
        return f"{10**exponent:.3g}"
    integer = math.floor(exponent)
    digits = 10 ** (exponent - integer)
    return f"{digits:.1f}e{integer}" if digits > 1.05 else f"1e{integer}"


def _at_least_a_decade(axes: "Axes") -> None:
    """Extend the axis to at least about a decade, so that a flat curve looks flat."""
    low, high = axes.get_ylim()
    if high - low < 1:
        axes.set_ylim((low + high) / 2 - 0.6, (low + high) / 2 + 0.6)


def _name_lines(axes: "Axes", x: float, lines: Sequence[tuple[float, str, str]]) -> None:
    """Write each line's name to the right of its end at x; names of close ends are moved apart."""
    low, high = axes.get_ylim()
    gap = 0.065 * (high - low)
    ordered = sorted(lines)
    places = [y for y, _, _ in ordered]
    for k in range(1, len(places)):
        places[k] = max(places[k], places[k - 1] + gap)
    limit = high
    for k in reversed(range(len(places))):
        places[k] = min(places[k], limit)
        limit = places[k] - gap
    for place, (_, name, color) in zip(places, ordered, strict=True):
        _name(axes, name, (x, place), (5, 0), color, vertical="center")
    axes.set_xlim(0, x)


def _shade(share: float) -> str:
    """Return a shade of blue, from dark (share 0) to light (share 1)."""
    dark, light = np.array([0x12, 0x36, 0x66]), np.array([0x8F, 0xBC, 0xE6])
    mixed: NDArray[np.int64] = (dark + share * (light - dark)).astype(int)
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
