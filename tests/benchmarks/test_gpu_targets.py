"""Times on a GPU against their targets; what the floors compute."""

import pytest
import torch

from benchmarks import gpu_targets
from benchmarks.gpu_targets import FLOORS, GRADIENT, LATENCY, LOSS, MANY_NETS, ONE_NET, PEER, PRODUCT
from rnnbench.bench.case import make_case
from rnnbench.bench.options import Shape

OTHER = Shape(2, 3, 4, 5)


def times(changed=None):
    """Times at which every target just holds."""
    floors = dict.fromkeys([*FLOORS, LATENCY], 0.1)
    found = {LOSS: 0.3, GRADIENT: 1.0, PRODUCT: 1.5, PEER: 20.0, **floors, LATENCY: 0.15, **(changed or {})}
    return {name: {"ms": ms, "us of a step": 10 * ms} for name, ms in found.items()}


def verdicts(shape, found):
    return [line.rpartition(", ")[2] for line in gpu_targets.targets_in_words(shape, found)]


def test_targets_hold_up_to_their_bounds():
    assert verdicts(ONE_NET, times()) == ["holds"] * 4
    assert verdicts(MANY_NETS, times()) == ["holds"] * 3
    assert verdicts(OTHER, times()) == ["holds"] * 2


@pytest.mark.parametrize(
    ("shape", "name", "ms", "failing"),
    [
        (ONE_NET, LOSS, 0.31, [0, 2]),
        (ONE_NET, GRADIENT, 1.01, [1]),
        (ONE_NET, PRODUCT, 1.6, [3]),
        (MANY_NETS, PEER, 19.0, [0]),
        (OTHER, LATENCY, 0.14, [0]),
    ],
)
def test_a_number_beyond_its_bound_fails(shape, name, ms, failing):
    found = verdicts(shape, times({name: ms}))
    assert [at for at, verdict in enumerate(found) if verdict == "does not hold"] == failing


def test_what_was_not_measured_is_said():
    found = times()
    del found[PRODUCT]
    line = gpu_targets.targets_in_words(OTHER, found)[1]
    assert (
        line == f"Target: time of a product over that of a gradient at most 1.5: unknown, {PRODUCT!r} was not measured"
    )


def test_floors_do_the_work_of_every_step():
    case = make_case(OTHER)
    r, b, steps, n = OTHER
    written, multiplied = (make(case).run() for make in FLOORS.values())
    assert written.shape == (r, steps, b, n)
    assert multiplied.shape == (r, steps * b, n)
    assert not torch.equal(multiplied, torch.zeros_like(multiplied))
