"""The processors of this process, and how several processes share them."""

import os

_limit: int | None = None


def num_processors() -> int:
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    there = len(affinity(0)) if affinity is not None else (os.cpu_count() or 1)
    return there if _limit is None else min(there, _limit)


def use_processors(limit: int) -> None:
    """Use so many processors at most, whichever are free; the others are for processes beside this one."""
    global _limit
    _limit = limit


def keep_to_share(share: int, num_shares: int) -> None:
    """Keep this process to its share of the processors, so that others beside it have theirs; not on macOS."""
    affinity = getattr(os, "sched_getaffinity", None)
    if affinity is not None:
        processors = sorted(affinity(0))
        own = processors[share::num_shares] or [processors[share % len(processors)]]
        os.sched_setaffinity(0, own)
