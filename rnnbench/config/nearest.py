"""Suggestions for names that do not exist."""

import difflib
from collections.abc import Iterable

SIMILARITY = 0.6  # difflib's own default
MOST = 3
CLOSE = 0.15  # those that are this much less similar than the best one are not shown


def _shared_letters(one: str, other: str) -> int:
    """How many letters two words have in common at their start."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(one), len(other)))


def one_edit_apart(one: str, other: str) -> bool:
    """Whether one letter was left out, put in, replaced, or two neighbours were swapped; difflib misses short words."""
    start = _shared_letters(one, other)
    one, other = one[start:], other[start:]
    end = _shared_letters(one[::-1], other[::-1])
    one, other = one[: len(one) - end], other[: len(other) - end]
    return max(len(one), len(other)) == 1 or (len(one) == 2 and one[::-1] == other)


def nearest_keys(key: str, keys: Iterable[str]) -> list[str]:
    """The keys that may have been meant, best first, at most three.

    Within one group the names are compared, otherwise the whole keys; the same name in another group is found too.

    Args:
        key: What was given.
        keys: Those that exist.
    """
    scores: dict[str, float] = {}
    group, _, name = key.rpartition(".")
    whole, last = difflib.SequenceMatcher(b=key), difflib.SequenceMatcher(b=name)
    for candidate in keys:
        candidate_group, _, candidate_name = candidate.rpartition(".")
        whole.set_seq1(candidate)
        last.set_seq1(candidate_name)
        if one_edit_apart(key, candidate):
            scores[candidate] = 1.0
        elif candidate_group == group:
            scores[candidate] = last.ratio()
        else:
            # a near name in the right group is worth more than the same name elsewhere
            scores[candidate] = max(whole.ratio(), 0.9 * last.ratio())
    least = max(SIMILARITY, max(scores.values(), default=0.0) - CLOSE)
    found = sorted((name for name in scores if scores[name] >= least), key=lambda name: -scores[name])
    return found[:MOST]


def did_you_mean(names: Iterable[str]) -> str:
    """The end of a message: `; did you mean a, b?`, or nothing where there is no name."""
    joined = ", ".join(names)
    return f"; did you mean {joined}?" if joined else ""


def not_a_choice(what: str, given: str, choices: Iterable[str]) -> str:
    """The message on a choice that does not exist: all that do, and the nearest first where one is near.

    Args:
        what: What has these choices, as a key.
        given: What was given.
        choices: Those that exist.
    """
    names = list(choices)
    near = difflib.get_close_matches(given, names, 1, SIMILARITY)
    return f"{what} has no choice {given!r}{did_you_mean(near)} (choices: {', '.join(names) or 'none'})"
