"""The processors of this process, and how several processes share them."""

import os


def num_processors() -> int:
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity is not None else (os.cpu_count() or 1)


def processor_shares(num_shares: int) -> list[list[int]]:
    """The processors of this process in shares, at least one in each; empty where they cannot be told apart."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    processors = sorted(affinity(0)) if affinity is not None else []
    return [processors[share::num_shares] or processors[share % num_processors() :][:1] for share in range(num_shares)]


def keep_to_share(share: int, num_shares: int) -> None:
    """Keep this process to its share of the processors, so that others beside it have theirs; not on macOS."""
    own = processor_shares(num_shares)[share]
    if own:
        os.sched_setaffinity(0, own)
