"""Fixtures of the tests that measure."""

import io

import pytest

from rnnbench.bench.announce import Announcer
from rnnbench.bench.timing import Lanes


@pytest.fixture
def announcer():
    return Announcer(io.StringIO())


@pytest.fixture
def lanes():
    with Lanes() as lanes:
        yield lanes
