"""The processors of this process, and how several processes share them."""

import os

_limit: int | None = None


def num_processors() -> int:
    """Return the number of processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    available = len(affinity(0)) if affinity is not None else (os.cpu_count() or 1)
    return available if _limit is None else min(available, _limit)


def use_processors(limit: int) -> None:
    """Limit the number of processors that this process uses, without binding it; other processes use the rest."""
    global _limit
    _limit = limit


def keep_to_share(share: int, num_shares: int) -> None:
    """Bind this process to its share of the processors, so that others can use theirs; no effect on macOS."""
    affinity = getattr(os, "sched_getaffinity", None)
    if affinity is not None:
        processors = sorted(affinity(0))
        own = processors[share::num_shares] or [processors[share % len(processors)]]
        os.sched_setaffinity(0, own)
