"""Parts of a Markdown page that a program writes, between two comments that name them."""

import re
from collections.abc import Mapping, Sequence

_MARK = "<!-- {} {}: made by `python -m rnnbench.hf_page` -->"


class RegionError(Exception):
    """A page lacks the place of a part: one line that names it."""


def fill(page: str, parts: Mapping[str, str]) -> str:
    """Put parts in place of what stands in theirs.

    Args:
        page: Markdown.
        parts: Name -> Markdown; a part of the page that is not named stays as it is.

    Raises:
        RegionError: A part has no place, or more than one.
    """
    for name, text in parts.items():
        begin, end = (_MARK.format(word, name) for word in ("begin", "end"))
        pieces = re.split(f"({re.escape(begin)}\n.*?{re.escape(end)})", page, flags=re.DOTALL)
        if len(pieces) != 3:
            raise RegionError(f"the page needs one pair of lines {begin!r} and {end!r}, it has {len(pieces) // 2}")
        page = f"{pieces[0]}{begin}\n{text.strip()}\n{end}{pieces[2]}"
    return page


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
