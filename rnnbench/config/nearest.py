"""Suggestions for names that do not exist."""

import difflib
from collections.abc import Iterable, Sequence

from rnnbench.config.usual_words import remark_on, usual_choices, usual_keys

SIMILARITY = 0.6  # difflib's own default
SURE = 0.8  # least similarity of a name in another group
MOST = 3
MAX_ALTERNATIVES = 4  # of a message that says which choices have a key
CLOSE = 0.15  # names that are this much less similar than the best one are not shown


def _shared_letters(one: str, other: str) -> int:
    """The number of letters in the common prefix of two words."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(one), len(other)))


def one_edit_apart(one: str, other: str) -> bool:
    """Whether two words differ by one missing, added, changed or swapped letter; difflib misses short words."""
    start = _shared_letters(one, other)
    one, other = one[start:], other[start:]
    end = _shared_letters(one[::-1], other[::-1])
    one, other = one[: len(one) - end], other[: len(other) - end]
    return max(len(one), len(other)) == 1 or (len(one) == 2 and one[::-1] == other)


def nearest_keys(key: str, keys: Iterable[str]) -> list[str]:
    """Suggest at most three existing keys for an unknown key, best first.

    A word that other programs use stands for our key, unless it is one letter away from an existing key. Otherwise
    names are compared within a group and complete keys across groups; the same name in another group counts too.

    Args:
        key: Key as typed.
        keys: Existing keys.
    """
    keys = list(keys)
    usual = [name for name in usual_keys(key) if name in keys]
    if usual and not any(one_edit_apart(key, name) for name in keys):
        return usual[:MOST]
    scores: dict[str, float] = {}
    group, _, name = key.rpartition(".")
    whole, last = difflib.SequenceMatcher(), difflib.SequenceMatcher(b=name)
    for candidate in keys:
        candidate_group, _, candidate_name = candidate.rpartition(".")
        # ignore the prefix that all keys of a group have in common
        shared = f"{candidate.partition('.')[0]}."
        prefix = len(shared) if key.startswith(shared) else 0
        whole.set_seqs(candidate[prefix:], key[prefix:])
        last.set_seq1(candidate_name)
        if one_edit_apart(key, candidate):
            scores[candidate] = 1.0
        elif candidate_group == group:
            scores[candidate] = last.ratio()
        else:
            # a similar name in the right group is better than the same name elsewhere
            elsewhere = last.ratio() if not group or last.ratio() >= SURE else 0.0
            scores[candidate] = max(whole.ratio(), 0.9 * elsewhere)
    least = max(SIMILARITY, max(scores.values(), default=0.0) - CLOSE)
    found = sorted((name for name in scores if scores[name] >= least), key=lambda name: -scores[name])
    return found[:MOST]


def nearest_choices(group: str, given: str, choices: Iterable[str]) -> list[str]:
    """Suggest existing choices for an unknown one: by a word that other programs use, or by spelling.

    Args:
        group: A group, or `rnnbench` for its commands.
        given: Name as typed.
        choices: Existing choices.
    """
    names = list(choices)
    usual = [name for name in usual_choices(group, given) if name in names]
    return usual or difflib.get_close_matches(given.lower(), names, 1, SIMILARITY)


def did_you_mean(names: Iterable[str]) -> str:
    """The end of a message: `; did you mean a, b?`, or empty if there is no suggestion."""
    joined = ", ".join(names)
    return f"; did you mean {joined}?" if joined else ""


def any_of(names: Sequence[str]) -> str:
    """Some names with "or" between them, as in `a or b or c (and 9 more)`."""
    shown = names if len(names) <= MAX_ALTERNATIVES else names[: MAX_ALTERNATIVES - 1]
    more = len(names) - len(shown)
    return " or ".join(shown) + (f" (and {more} more)" if more else "")


def no_such_key(key: str) -> str:
    """The beginning of a message for a key that does not exist, with the reason if it is known."""
    remark = remark_on(key)
    return f"there is no key {key}{f': {remark}' if remark else ''}"


def not_a_choice(what: str, given: str, choices: Iterable[str]) -> str:
    """The message for a choice that does not exist: suggestions, and all existing choices.

    Args:
        what: Key or option that has these choices.
        given: Name as typed.
        choices: Existing choices.
    """
    names = list(choices)
    near = did_you_mean(nearest_choices(what, given, names))
    return f"{what} has no choice {given!r}{near} (choices: {', '.join(names) or 'none'})"
