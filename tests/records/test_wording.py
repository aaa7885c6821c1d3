"""Numbers in words."""

import pytest

from rnnbench.records import wording


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (wording.number(0.00012345), "0.000123"),
        (wording.number(1234567), "1,234,567"),
        (wording.number(2.0), "2"),
        (wording.number(float("nan")), "-"),
        (wording.number(float("inf")), "inf"),
        (wording.number(None), "-"),
        (wording.number("words"), "words"),
        (wording.percent(0.9999), "100.0 %"),
        (wording.percent(0.0027), "0.27 %"),
        (wording.percent(0.0), "0.0 %"),
        (wording.percent(None), "-"),
        (wording.percent(float("nan")), "-"),
        (wording.duration(48.2), "48 s"),
        (wording.duration(59.6), "1 min 0 s"),
        (wording.duration(7500), "2 h 5 min"),
        (wording.clock(59.9), "0:59"),
        (wording.clock(3723), "1:02:03"),
        (wording.speed(40.0), "40 updates/s"),
        (wording.speed(0.4), "2.5 s/update"),
        (wording.count(1, "update"), "1 update"),
        (wording.count(1901, "product"), "1,901 products"),
    ],
)
def test_wording(said, expected):
    assert said == expected
