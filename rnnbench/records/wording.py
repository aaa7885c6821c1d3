"""Formatting of numbers for people."""

import math


def number(value: float | str | None) -> str:
    """Format with three significant digits; integers in full, with thousands separators; `-` for None and NaN."""
    if isinstance(value, str):
        return value
    if value is None or math.isnan(value):
        return "-"
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.3g}"


def percent(share: float | None) -> str:
    """Format a share between 0 and 1 as a percentage: "43.1 %", "0.27 %"; `-` for None."""
    if share is None or not math.isfinite(share):
        return "-"
    value = 100 * share
    return f"{value:.1f} %" if value >= 1 or value == 0 else f"{value:.2g} %"


def duration(seconds: float) -> str:
    """Format a duration with units: "48 s", "3 min 12 s", "2 h 5 min"."""
    rounded = round(seconds)
    if rounded < 60:
        return f"{rounded} s"
    if rounded < 3600:
        return f"{rounded // 60} min {rounded % 60} s"
    return f"{rounded // 3600} h {rounded % 3600 // 60} min"


def clock(seconds: float) -> str:
    """Format a duration as a clock: "0:48", "2:05:00"."""
    elapsed = int(seconds)
    hours, minutes = divmod(elapsed // 60, 60)
    return f"{hours}:{minutes:02d}:{elapsed % 60:02d}" if hours else f"{minutes}:{elapsed % 60:02d}"


def speed(updates_per_second: float) -> str:
    """Format a speed as updates per second or seconds per update, whichever is above 1."""
    if updates_per_second >= 1:
        return f"{updates_per_second:.3g} updates/s"
    return f"{1 / updates_per_second:.3g} s/update"


def count(amount: int, thing: str) -> str:
    """Format a count with its noun: "1 update", "1,901 updates"."""
    return f"{amount:,} {thing}{'' if amount == 1 else 's'}"
