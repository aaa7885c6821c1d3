"""Checks the laws of a subject one after another, each at sizes that grow until it fails."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rnnbench.checks.law import SIZES, Law, LawError, NotApplicableError, Size
from rnnbench.checks.subjects import MakeCases, Subject
from rnnbench.config.errors import ConfigError
from rnnbench.config.faults import fault

HOLDS, FAILS, SKIPPED = "holds", "FAILS", "skipped"

MOST_SECONDS = 5.0
"""A law that has taken this long is not tried at larger sizes."""

IS_BUILT = "it can be built and used as its contract says"


@dataclass(frozen=True)
class Outcome:
    """What came of one law.

    Attributes:
        statement: The law.
        verdict: `HOLDS`, `FAILS` or `SKIPPED`.
        seconds: Time that it took.
        detail: What was found, at which size and what it means; why it was skipped; empty if the law holds.
    """

    statement: str
    verdict: str
    seconds: float
    detail: str = ""


def check(subject: Subject) -> Iterator[Outcome]:
    """Check the laws of a subject; none but the first if it cannot be built at all.

    Raises:
        ConfigError: The choice does not exist, or its file is not valid.
    """
    start = time.perf_counter()
    subject.config(SIZES[-1])
    try:
        subject.built(SIZES[-1])
    except ConfigError as error:
        yield Outcome(IS_BUILT, FAILS, time.perf_counter() - start, str(error))
        return
    yield Outcome(IS_BUILT, HOLDS, time.perf_counter() - start)
    for law, make in subject.laws():
        yield _check_law(subject, law, make)


def _check_law(subject: Subject, law: Law[Any], make: MakeCases) -> Outcome:
    """Try a law at growing sizes until it fails."""
    start, reason = time.perf_counter(), ""
    was_tried = False
    for size in law.sizes:
        if time.perf_counter() - start > MOST_SECONDS:
            break
        try:
            cases = list(make(size))
        except ConfigError as error:
            reason = str(error)  # there is no task or net of this size
            continue
        for case in cases:
            try:
                law.check(case)
                was_tried = True
            except NotApplicableError as error:
                reason = str(error)
            except LawError as error:
                return _failure(law, start, str(error), size)
            except Exception as error:
                return _failure(law, start, str(fault(subject.group, error)), size)
    seconds = time.perf_counter() - start
    return Outcome(law.statement, HOLDS, seconds) if was_tried else Outcome(law.statement, SKIPPED, seconds, reason)


def _failure(law: Law[Any], start: float, found: str, size: Size) -> Outcome:
    detail = f"{found} ({size}). {law.meaning}"
    return Outcome(law.statement, FAILS, time.perf_counter() - start, detail)
