from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.experiments.verdict import Finding, at_least, at_most, conclude, share_at_least, share_context, within

CLAIM = Finding("a number", 1.0, (0.9, 1.1), ">= 0.5", "holds")
CONTROL = replace(CLAIM, role="control")


@pytest.mark.parametrize(
    ("interval", "lower", "upper"),
    [
        ((0.6, 0.8), "holds", "does not hold"),
        ((0.4, 0.6), "not decided", "not decided"),
        ((0.1, 0.4), "does not hold", "holds"),
        ((0.5, 0.5), "holds", "holds"),
    ],
)
def test_the_whole_interval_has_to_be_on_one_side(interval, lower, upper):
    assert at_least("x", 0.5, interval, 0.5).answer == lower
    assert at_most("x", 0.5, interval, 0.5).answer == upper


@pytest.mark.parametrize(
    ("interval", "answer"),
    [
        ((1.9, 2.1), "holds"),
        ((1.7, 2.1), "not decided"),
        ((1.0, 3.0), "not decided"),
        ((1.0, 1.7), "does not hold"),
        ((2.3, 2.5), "does not hold"),
    ],
)
def test_between_two_bounds(interval, answer):
    assert within("x", 2.0, interval, (1.8, 2.2)).answer == answer


def test_a_share_has_its_wilson_interval():
    all_of_them = share_at_least("nets", [True] * 60, 0.8)
    assert (all_of_them.measured, all_of_them.answer) == (1.0, "holds")
    assert all_of_them.interval == pytest.approx((0.9398, 1.0), abs=1e-4)
    assert share_at_least("nets", [True] * 6, 0.8).answer == "not decided"
    assert share_at_least("nets", [False] * 6, 0.8).answer == "does not hold"
    assert share_at_least("nets", [True], 0.8, "control").what == "control: share of nets"


@pytest.mark.parametrize(
    ("answers", "verdict", "decisive"),
    [
        (["holds", "holds"], "holds", 0),
        (["holds", "not decided"], "not decided", 1),
        (["not decided", "does not hold"], "does not hold", 1),
    ],
)
def test_a_claim_holds_where_each_part_does(answers, verdict, decisive):
    findings = [replace(CLAIM, what=str(at), answer=answer) for at, answer in enumerate(answers)]
    assert conclude([*findings, CONTROL]) == (verdict, findings[decisive])


@given(answer=st.sampled_from(["holds", "does not hold", "not decided"]))
def test_nothing_is_decided_where_the_control_does_not_fail(answer):
    broken = replace(CONTROL, answer="not decided")
    assert conclude([replace(CLAIM, answer=answer), broken]) == ("not decided", broken)


def test_what_is_shown_beside_decides_nothing():
    beside = share_context("nets", [False] * 60, "rarely")
    assert conclude([CLAIM, beside, CONTROL]) == ("holds", CLAIM)
