"""Findings (numbers with intervals) and the verdict that follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rnnbench.report.statistics import wilson_interval

Answer = Literal["holds", "does not hold", "not decided"]
Role = Literal["claim", "control", "beside"]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Finding:
    """One number of an experiment beside what was claimed for it.

    Attributes:
        what: Description of the number.
        measured: The number; None: there is none.
        interval: 95 % interval of the number.
        claimed: What was claimed for it, as in ">= 0.8".
        answer: Whether that holds.
        role: claim: the verdict rests on it; control: in the negative control, where it holds if the claim fails there;
            beside: shown, and not part of the verdict.
    """

    what: str
    measured: float | None
    interval: Interval | None
    claimed: str
    answer: Answer
    role: Role = "claim"


def at_least(what: str, measured: float, interval: Interval, bound: float, role: Role = "claim") -> Finding:
    """The finding of a number that is claimed to be at least `bound`; holds if the whole interval is."""
    return Finding(what, measured, interval, f">= {bound:g}", _answer(interval[0] >= bound, interval[1] < bound), role)


def at_most(what: str, measured: float, interval: Interval, bound: float, role: Role = "claim") -> Finding:
    """The finding of a number that is claimed to be at most `bound`; holds if the whole interval is."""
    return Finding(what, measured, interval, f"<= {bound:g}", _answer(interval[1] <= bound, interval[0] > bound), role)


def within(what: str, measured: float, interval: Interval, bounds: Interval, role: Role = "claim") -> Finding:
    """The finding of a number that is claimed to lie between two bounds; holds if the whole interval does."""
    holds = bounds[0] <= interval[0] and interval[1] <= bounds[1]
    fails = interval[1] < bounds[0] or interval[0] > bounds[1]
    return Finding(what, measured, interval, f"{bounds[0]:g} to {bounds[1]:g}", _answer(holds, fails), role)


def share_at_least(what: str, which: Sequence[bool], bound: float, role: Role = "claim") -> Finding:
    """The finding of a share of things, with its Wilson interval, that is claimed to be at least `bound`.

    Args:
        what: Description of the things that are counted.
        which: For each thing, whether it counts; if empty, the answer is "not decided".
        bound: Between 0 and 1.
        role: Role of the finding.
    """
    words = f"{'control: ' if role == 'control' else ''}share of {what}"
    if not which:
        return Finding(words, None, None, f">= {bound:g}", "not decided", role)
    return at_least(words, sum(which) / len(which), wilson_interval(sum(which), len(which)), bound, role)


def share_beside(what: str, which: Sequence[bool], claimed: str) -> Finding:
    """A share that is shown beside what the book says of it in words, and not judged."""
    interval = wilson_interval(sum(which), len(which))
    return beside(f"share of {what}", sum(which) / len(which), interval, claimed)


def beside(what: str, measured: float | None, interval: Interval | None, claimed: str) -> Finding:
    """A number that is shown beside what is said of it in words, and not judged."""
    return Finding(what, measured, interval, claimed, "not decided", "beside")


def _answer(holds: bool, fails: bool) -> Answer:
    return "holds" if holds else "does not hold" if fails else "not decided"


def conclude(findings: Sequence[Finding]) -> tuple[Answer, Finding]:
    """The verdict, and the finding that decides it.

    A claim holds if each of its findings holds. If the negative control does not fail as required, the experiment
    cannot tell a true claim from a false one, and the verdict is "not decided".

    Args:
        findings: Findings, at least one of which has the role "claim".
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
