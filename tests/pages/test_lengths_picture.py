"""The README's picture is what the table of its runs makes of it."""

from docs.make.__main__ import CHECKOUT
from docs.make.lengths import pages


def test_the_picture_is_up_to_date():
    ((path, picture),) = pages(CHECKOUT / "results", CHECKOUT / "docs").items()
    assert path.read_text(encoding="utf-8") == picture, "run python -m docs.make lengths"
    assert path.relative_to(CHECKOUT).as_posix() in (CHECKOUT / "README.md").read_text(encoding="utf-8")
