"""Make pages of the documentation, in a checkout: python -m docs.make [PAGE...]."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from docs.make import architecture, lengths, metrics, optimizers, performance, reproductions, tasks
from docs.make.errors import PageError
from docs.make.hf import page as hf
from rnnbench.config.errors import ConfigError
from rnnbench.exit_status import BAD_INPUT, OK
from rnnbench.records.errors import RecordError

CHECKOUT = Path(__file__).resolve().parents[2]

PAGES: dict[str, Callable[[Path, Path], Mapping[Path, str]]] = {
    "architecture": architecture.pages,
    "hf": hf.pages,
    "lengths": lengths.pages,
    "metrics": metrics.pages,
    "optimizers": optimizers.pages,
    "performance": performance.pages,
    "reproductions": reproductions.pages,
    "tasks": tasks.pages,
}
"""Name of each page -> function from the folders of results and of pages to the files and their contents."""


def main(words: Sequence[str] | None = None) -> int:
    """Make pages.

    Args:
        words: Arguments of the command; None: those of this process.

    Returns:
        The exit status: 0; 2 if a name, a record or a page is wrong; one line then names the problem, and nothing is
        written.
    """
    parser = argparse.ArgumentParser(prog="python -m docs.make", description="Make pages from code and records.")
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"{', '.join(PAGES)}; default: all")
    parser.add_argument("--results", type=Path, default=CHECKOUT / "results", help="folder of all records")
    parser.add_argument("--docs", type=Path, default=CHECKOUT / "docs", help="folder of the pages")
    given = parser.parse_args(words)
    made: dict[Path, str] = {}
    try:
        for name in given.pages or PAGES:
            if name not in PAGES:
                raise PageError(f"there is no page {name!r} to make; the pages are {', '.join(PAGES)}")
            made |= PAGES[name](given.results, given.docs)
        for path, text in made.items():
            path.write_text(text, encoding="utf-8")
            print(path)
    except (PageError, ConfigError, RecordError, OSError) as error:
        print(f"docs.make: {error}", file=sys.stderr)
        return BAD_INPUT
    return OK


if __name__ == "__main__":
    sys.exit(main())
