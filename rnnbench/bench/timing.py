"""Times variants, interleaved round by round in one process, so that drift affects all of them equally."""

import gc
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
import torch

BURST_SECONDS = 0.03
"""A variant is called repeatedly for about this long in a round, so that the clock's resolution does not matter."""

LONG_SECONDS = 0.1
"""A first call at least this long is used as an estimate; a shorter one is repeated, since one-time work dominates."""

PAUSE_SECONDS = 0.01
"""Pause between variants: OpenMP's threads spin for some milliseconds after their work and would disturb the next."""

MIN_ROUNDS, MAX_ROUNDS = 3, 100

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Statistics:
    """Median and quartiles of the rounds of one variant.

    Attributes:
        median: Median.
        lower: First quartile.
        upper: Third quartile.
    """

    median: float
    lower: float
    upper: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Statistics":
        """Compute median and quartiles with linear interpolation."""
        lower, median, upper = np.percentile(np.asarray(values, dtype=np.float64), [25, 50, 75]).tolist()
        return cls(median, lower, upper)

    @classmethod
    def of_ratio(cls, values: Sequence[float], base: Sequence[float]) -> "Statistics":
        """Compute the statistics of the ratios per round, in which common drift cancels.

        Raises:
            ValueError: The numbers of rounds differ.
        """
        return cls.of([value / other for value, other in zip(values, base, strict=True)])


class Lane:
    """A thread in which variants run; threads that OpenMP starts for it inherit its treatment of denormals."""

    def __init__(self, *, flushes: bool) -> None:
        """Start the thread.

        Args:
            flushes: Whether denormal floats are flushed to zero in it.
        """
        self._executor = ThreadPoolExecutor(1, initializer=torch.set_flush_denormal, initargs=(flushes,))

    def call(self, function: Callable[[], _Result], threads: int = 1) -> _Result:
        """Call a function in the lane, with torch's operations split over a number of threads."""

        def run() -> _Result:
            torch.set_num_threads(threads)
            return function()

        return self._executor.submit(run).result()

    def close(self) -> None:
        """End the thread."""
        self._executor.shutdown()


class Lanes:
    """Context manager with both kinds of lanes; it finally restores torch's number of threads.

    Meanwhile the garbage collector ignores objects that exist already; it would otherwise traverse the objects of all
    libraries before each measurement of memory.
    """

    def __enter__(self) -> Self:
        """Start the lanes."""
        gc.freeze()
        self._threads = torch.get_num_threads()
        self._lanes = {flushes: Lane(flushes=flushes) for flushes in (True, False)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the lanes."""
        for lane in self._lanes.values():
            lane.close()
        torch.set_num_threads(self._threads)
        gc.unfreeze()

    def call(
        self,
        function: Callable[[], _Result],
        *,
        torch_threads: int = 1,
        flushes: bool = True,
        cores: int | None = None,
    ) -> _Result:
        """Call a function in the environment of a `Variant`."""
        with confined(cores):
            return self._lanes[flushes].call(function, torch_threads)


@dataclass(frozen=True)
class Variant:
    """One way to compute something.

    Attributes:
        name: Name in tables.
        run: Function that computes the result once; the result is dropped.
        torch_threads: Number of threads over which torch splits one operation.
        flushes: Whether denormal floats are flushed to zero.
        cores: Number of processors that the whole process may use; None: all.
    """

    name: str
    run: Callable[[], object]
    torch_threads: int = 1
    flushes: bool = True
    cores: int | None = None

    def call(self, lanes: Lanes, calls: int) -> float:
        """Return the mean seconds over a number of calls."""
        return lanes.call(
            lambda: _time(self.run, calls), torch_threads=self.torch_threads, flushes=self.flushes, cores=self.cores
        )


def interleave(
    variants: Sequence[Variant],
    lanes: Lanes,
    *,
    rounds: int | None,
    seconds: float,
    announce: Callable[[str], None] = lambda text: None,
    burst_seconds: float | None = None,
) -> dict[str, list[float]]:
    """Time variants round by round: each once per round, and each round starts with another variant.

    Args:
        variants: Variants with distinct names. Each is warmed up by a call before the first round.
        lanes: Threads in which the variants run.
        rounds: Number of rounds; None: as many as fit.
        seconds: Time for everything, including warm-up; at least `MIN_ROUNDS` rounds are made.
        announce: Function that shows the progress.
        burst_seconds: Seconds for which a variant is called repeatedly in a round; None: `BURST_SECONDS`.

    Returns:
        Name -> seconds of one call, one entry per round.
    """
    start = time.perf_counter()
    calls, burst = {}, BURST_SECONDS if burst_seconds is None else burst_seconds
    for variant in variants:
        announce(f"warming up {variant.name}")
        once = variant.call(lanes, 1)
        if once < LONG_SECONDS:
            once = variant.call(lanes, 1)
        calls[variant.name] = max(1, min(1000, round(burst / max(once, 1e-9))))
    times: dict[str, list[float]] = {variant.name: [] for variant in variants}
    gc.collect()
    for done in itertools.count():
        spent = time.perf_counter() - start
        if rounds is not None and done >= rounds:
            break
        if rounds is None and (done >= MAX_ROUNDS or (done >= MIN_ROUNDS and spent >= seconds)):
            break
        announce(f"round {done + 1}" + (f" of {rounds}" if rounds else ""))
        for variant in rotated(variants, done):
            time.sleep(PAUSE_SECONDS)
            times[variant.name].append(variant.call(lanes, calls[variant.name]))
    return times


def rotated(variants: Sequence[Variant], start: int) -> list[Variant]:
    """Rotate the variants, so that each round starts with another one."""
    first = start % len(variants)
    return [*variants[first:], *variants[:first]]


def _time(run: Callable[[], object], calls: int) -> float:
    """Return the mean seconds of a call, with the garbage collector disabled.

    If there are several, one more comes before them untimed: caches are cold and threads asleep in it.
    """
    gc.disable()
    try:
        if calls > 1:
            run()
        start = time.perf_counter()
        for _ in range(calls):
            run()
        return (time.perf_counter() - start) / calls
    finally:
        gc.enable()


@contextmanager
def confined(number: int | None) -> Iterator[None]:
    """Restrict all threads of this process to its first processors, if the system supports this.

    It is needed for libraries that fix their number of threads when they start.
    """
    if number is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    _restrict(set(sorted(allowed)[:number]))
    try:
        yield
    finally:
        _restrict(allowed)


def _restrict(processors: set[int]) -> None:
    tasks = Path("/proc/self/task")
    for thread in [int(task.name) for task in tasks.iterdir()] if tasks.is_dir() else [0]:
        try:
            os.sched_setaffinity(thread, processors)
        except ProcessLookupError:
            continue  # the thread has ended
