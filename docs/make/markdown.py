"""Generates Markdown: tables, and the marked regions of a page."""

import re
from collections.abc import Mapping, Sequence

from docs.make.errors import PageError

_MARK = "<!-- {} {}: made by `python -m docs.make {}` -->"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table, without a newline at its end."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def fill(page: str, parts: Mapping[str, str], maker: str = "hf") -> str:
    """Replace the marked regions of a page.

    Args:
        page: Text of the page, Markdown.
        parts: Contents of the regions by name, Markdown; other regions are kept.
        maker: Name of the page for docs.make, which the marks of its regions contain.

    Raises:
        PageError: The page has no region with a name, or more than one.
    """
    for name, text in parts.items():
        begin, end = (_MARK.format(word, name, maker) for word in ("begin", "end"))
        pieces = re.split(f"({re.escape(begin)}\n.*?{re.escape(end)})", page, flags=re.DOTALL)
        if len(pieces) != 3:
            raise PageError(f"the page needs one pair of lines {begin!r} and {end!r}, it has {len(pieces) // 2}")
        page = f"{pieces[0]}{begin}\n{text.strip()}\n{end}{pieces[2]}"
    return page
