"""How numbers are said to a person."""

import math

import numpy as np
from numpy.typing import ArrayLike


def number(value: float | str | None) -> str:
    """Three significant digits; whole numbers whole, with commas at the thousands; `-` for none and for NaN."""
    if isinstance(value, str):
        return value
    if value is None or math.isnan(value):
        return "-"
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.3g}"


def percent(share: float | None) -> str:
    """A share between 0 and 1: "43.1 %", "0.27 %"; `-` for none."""
    if share is None or not math.isfinite(share):
        return "-"
    value = 100 * share
    return f"{value:.1f} %" if value >= 1 or value == 0 else f"{value:.2g} %"


def duration(seconds: float) -> str:
    """A time in words: "48 s", "3 min 12 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def clock(seconds: float) -> str:
    """A time as a clock shows it: "0:48", "2:05:00"."""
    whole = int(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def speed(updates_per_second: float) -> str:
    """Updates per second or seconds per update, whichever is above 1."""
    if updates_per_second >= 1:
        return f"{updates_per_second:.3g} updates/s"
    return f"{1 / updates_per_second:.3g} s/update"


def count(amount: int, thing: str) -> str:
    """A number of things: "1 update", "1,901 updates"."""
    return f"{amount:,} {thing}{'' if amount == 1 else 's'}"


def median(values: ArrayLike | None) -> float | None:
    """Median of those that are finite; None where there is none."""
    if values is None:
        return None
    numbers = np.asarray(values, dtype=np.float64).ravel()
    finite = numbers[np.isfinite(numbers)]
    return float(np.median(finite)) if finite.size else None
