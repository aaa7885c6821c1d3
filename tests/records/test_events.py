"""Scalars of many runs at once; names of events files, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from run_folders import png
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.scalar.metadata import create_summary_metadata

from rnnbench.records import events
from rnnbench.records.board import Shown


def test_new_file_sorts_after_older_ones():
    """Even where the older one comes from a machine whose clock is ahead."""
    older = [Path("run/events.out.tfevents.4000000000.host.example.org.7.0"), Path("run/" + events.new_file_name())]
    name = events.new_file_name(older)
    assert name.startswith("events.out.tfevents.4000000001.")
    assert all(path.name < name for path in older)
    assert events.new_file_name() < name


def test_names_differ_within_a_second():
    assert len({events.new_file_name() for _ in range(100)}) == 100


def test_png_size():
    assert events.png_size(png(300, 20)) == (300, 20)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff" + bytes(40)])
def test_other_files_are_no_pictures(data):
    with pytest.raises(ValueError, match="PNG"):
        events.png_size(data)


shapes = st.tuples(st.integers(0, 4), st.integers(1, 5))


@settings(max_examples=100)
@given(
    data=st.data(),
    shape=shapes,
    update=st.sampled_from([0, 1, 127, 128, 70_000, 2**40]),
    wall_time=st.floats(0, 4e9),
)
def test_scalars_of_many_runs_are_those_of_each(data, shape, update, wall_time):
    table = data.draw(hnp.arrays(np.float64, shape, elements=st.floats(width=32)))
    present = data.draw(hnp.arrays(np.bool_, shape))
    tags = ["loss/train", "a", "\u00fc" * 100, "time/seconds"][: shape[0]]
    described = data.draw(hnp.arrays(np.bool_, shape)) & present
    shown = [Shown(tag, f"What {tag} is.") for tag in tags]
    records = events.scalars(shown, update, wall_time, table, present, described)
    assert len(records) == shape[1]
    for run, record in enumerate(records):
        assert bool(record) == present[:, run].any()
        if not record:
            continue
        expected = event_pb2.Event(wall_time=wall_time, step=update)
        for one, value, there, text in zip(shown, table[:, run], present[:, run], described[:, run], strict=True):
            if there:
                metadata = create_summary_metadata(one.tag, one.description) if text else None
                expected.summary.value.add(tag=one.tag, simple_value=value, metadata=metadata)
        event = event_pb2.Event.FromString(record[12:-4])
        # As text, since NaN is not equal to itself.
        assert str(event) == str(expected)
