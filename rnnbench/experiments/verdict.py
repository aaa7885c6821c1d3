"""Findings (numbers with intervals) and the verdict that follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rnnbench.reports.statistics import wilson_interval

Answer = Literal["holds", "does not hold", "not decided"]
Role = Literal["claim", "control", "context"]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Finding:
    """One measured number of an experiment and the claim about it.

    Attributes:
        what: Description of the number.
        measured: The number; None: there is none.
        interval: 95 % interval of the number; None: there is none.
        claimed: The claim, as in ">= 0.8".
        answer: Whether the claim holds.
        role: claim: the verdict depends on it; control: a number of the negative control, which holds if the claim
            fails there; context: shown, but not judged.
    """

    what: str
    measured: float | None
    interval: Interval | None
    claimed: str
    answer: Answer
    role: Role = "claim"


def at_least(what: str, measured: float, interval: Interval, bound: float, role: Role = "claim") -> Finding:
    """Return the finding of a number that should be at least `bound`; it holds if its whole interval is."""
    return Finding(what, measured, interval, f">= {bound:g}", _answer(interval[0] >= bound, interval[1] < bound), role)


def at_most(what: str, measured: float, interval: Interval, bound: float, role: Role = "claim") -> Finding:
    """Return the finding of a number that should be at most `bound`; it holds if its whole interval is."""
    return Finding(what, measured, interval, f"<= {bound:g}", _answer(interval[1] <= bound, interval[0] > bound), role)


def solved_in_control(what: str, counts: tuple[int, int], least: float) -> Finding:
    """Return the finding of a control, an easy case that must be solved at least so often.

    A difference between two shares would be no control: it is 0 also if nothing is solved.

    Args:
        what: Description of the share.
        counts: Numbers of solved and of all runs.
        least: Least share, between 0 and 1.
    """
    return at_least(what, counts[0] / counts[1], wilson_interval(*counts), least, "control")


def within(what: str, measured: float, interval: Interval, bounds: Interval, role: Role = "claim") -> Finding:
    """Return the finding of a number that should lie between two bounds; it holds if its whole interval does."""
    holds = bounds[0] <= interval[0] and interval[1] <= bounds[1]
    fails = interval[1] < bounds[0] or interval[0] > bounds[1]
    return Finding(what, measured, interval, f"{bounds[0]:g} to {bounds[1]:g}", _answer(holds, fails), role)


def share_at_least(what: str, which: Sequence[bool], bound: float, role: Role = "claim") -> Finding:
    """Return the finding of a share, with its Wilson interval, that should be at least `bound`.

    Args:
        what: Description of the counted items.
        which: Whether each item is counted; if empty, the answer is "not decided".
        bound: Bound of the share, between 0 and 1.
        role: Role of the finding.
    """
    words = f"{'control: ' if role == 'control' else ''}share of {what}"
    if not which:
        return Finding(words, None, None, f">= {bound:g}", "not decided", role)
    return at_least(words, sum(which) / len(which), wilson_interval(sum(which), len(which)), bound, role)


def share_context(what: str, which: Sequence[bool], claimed: str) -> Finding:
    """Return the finding of a share that is shown next to a claim in words, but not judged."""
    interval = wilson_interval(sum(which), len(which))
    return context(f"share of {what}", sum(which) / len(which), interval, claimed)


def unjudged_share(what: str, counts: tuple[int, int]) -> Finding:
    """Return the finding of a share, with its Wilson interval, that is shown next to a claim but not judged.

    Args:
        what: Description of the share.
        counts: The number of counted items, and that of all.
    """
    return context(what, counts[0] / counts[1], wilson_interval(*counts), "not judged")


def context(what: str, measured: float | None, interval: Interval | None, claimed: str) -> Finding:
    """Return the finding of a number that is shown next to a claim in words, but not judged."""
    return Finding(what, measured, interval, claimed, "not decided", "context")


def _answer(holds: bool, fails: bool) -> Answer:
    return "holds" if holds else "does not hold" if fails else "not decided"


def conclude(findings: Sequence[Finding]) -> tuple[Answer, Finding]:
    """Return the verdict and the finding that decides it.

    A claim holds if each of its findings holds. If the negative control does not fail as required, the experiment
    cannot distinguish a true claim from a false one, and the verdict is "not decided".

    Args:
        findings: Findings; at least one has the role "claim".
    """
    claims = [finding for finding in findings if finding.role == "claim"]
    for finding in findings:
        if finding.role == "control" and finding.answer != "holds":
            return "not decided", finding
    answers: tuple[Answer, Answer] = "does not hold", "not decided"
    for answer in answers:
        for finding in claims:
            if finding.answer == answer:
                return answer, finding
    return "holds", claims[0]
