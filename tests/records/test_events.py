"""Names of events files, and what is refused."""

from pathlib import Path

import pytest
from run_folders import png

from rnnbench.records import events


def test_new_file_sorts_after_older_ones() -> None:
    """Even where the older one comes from a machine whose clock is ahead."""
    older = [Path("run/events.out.tfevents.4000000000.host.example.org.7.0"), Path("run/" + events.new_file_name())]
    name = events.new_file_name(older)
    assert name.startswith("events.out.tfevents.4000000001.")
    assert all(path.name < name for path in older)
    assert events.new_file_name() < name


def test_names_differ_within_a_second() -> None:
    assert len({events.new_file_name() for _ in range(100)}) == 100


def test_png_size() -> None:
    assert events.png_size(png(300, 20)) == (300, 20)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff" + bytes(40)])
def test_other_files_are_no_pictures(data: bytes) -> None:
    with pytest.raises(ValueError, match="PNG"):
        events.png_size(data)
