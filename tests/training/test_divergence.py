"""Diverged replicas keep their last finite state, whether the divergence is read at once or late."""

from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import PLAN, Countdown, Levels, Recorder, training

from rnnbench.config.build import build
from rnnbench.config.plan import make_plan
from rnnbench.config.request import parse_request
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Gradient
from rnnbench.optim.base import Update
from rnnbench.training.divergence import freeze_diverged
from rnnbench.training.interrupt import Interrupt
from rnnbench.training.loop import MAX_PENDING_UPDATES, Training
from rnnbench.training.problem import Problem

NEVER = 10_000
INFINITE = float("inf")


@dataclass(frozen=True, eq=False, kw_only=True)
class Stumble(Countdown):
    """As Countdown, but a replica makes one step that is not finite, and would go on as if nothing had been."""

    at: torch.Tensor
    on_end: object = None

    def update(self, theta, state, update, draw):
        made = super().update(theta, state, update, draw)
        stumbles = self.at == update + 1
        state = made.state | {"row": state["row"] + 1}
        return replace(made, theta=torch.where(stumbles, torch.nan, made.theta), state=state)

    def initial_state(self, theta):
        return super().initial_state(theta) | {"row": torch.zeros(len(theta))}  # (R,), without a second axis


def stumbling(at, steps=None, *, is_late, interrupt_at=None, seconds=0.0, **plan):
    recorder, interrupt, now = Recorder(), Interrupt(), [0.0]

    def on_update(update):
        now[0] += seconds
        if update == interrupt_at:
            interrupt._receive(15, None)

    theta = torch.ones(len(at), 1)
    step = torch.tensor(steps or [0.0] * len(at)).unsqueeze(1)
    optimizer = Stumble(step=step, at=torch.tensor(at).unsqueeze(1), on_update=on_update)
    problem = Levels(tuple(range(len(at))))
    plan = replace(PLAN, **plan)
    run = Training(
        problem, optimizer, theta, plan, recorder, recorder, interrupt, is_late=is_late, clock=lambda: now[0]
    )
    run.run()
    return run, recorder


def without_time(rows):
    return repr(
        [(update, who, {k: v for k, v in values.items() if k != "time/seconds"}) for update, who, values in rows]
    )


def assert_same_end(late, early):
    for one, other in zip(late.replicas, early.replicas, strict=True):
        assert repr(replace(one, seconds=0, hits=[], solved_at=None)) == repr(
            replace(other, seconds=0, hits=[], solved_at=None)
        )
        assert (one.solved_at and one.solved_at.update) == (other.solved_at and other.solved_at.update)
    for index in range(len(late.replicas)):
        (theta, state, _), (other_theta, other_state, _) = late.final[index], early.final[index]
        assert torch.equal(theta, other_theta)
        assert all(torch.equal(state[name], other_state[name]) for name in other_state)


@given(
    at=st.lists(st.sampled_from([*range(1, 20), NEVER]), min_size=1, max_size=4),
    log_every=st.integers(1, 9),
    evaluate_every=st.integers(1, 20),
    checkpoint_every=st.integers(1, 20),
    max_updates=st.integers(1, 19),
    interrupt_at=st.none() | st.integers(0, 18),
)
@settings(max_examples=60)
def test_a_late_check_ends_as_an_immediate_one(at, interrupt_at, **plan):
    steps = [0.0, 0.3, 0.125, 0.7][: len(at)]
    (late, told), (early, expected) = (
        stumbling(at, steps, is_late=is_late, interrupt_at=interrupt_at, **plan) for is_late in (True, False)
    )
    assert_same_end(late, early)
    assert without_time(told.rows) == without_time(expected.rows)
    assert sorted(told.messages) == sorted(expected.messages)
    assert sorted(told.ends, key=lambda end: end[1:]) or not expected.ends
    assert {end[1:] for end in told.ends} == {end[1:] for end in expected.ends}
    assert told.checkpoints == expected.checkpoints


@pytest.mark.parametrize("is_late", [True, False])
@given(at=st.lists(st.sampled_from([*range(1, 20), NEVER]), min_size=1, max_size=3), log_every=st.integers(1, 9))
@settings(max_examples=20)
def test_checkpoints_by_time_change_nothing_else(at, log_every, is_late):
    plan = dict(is_late=is_late, seconds=1.0, log_every=log_every, evaluate_every=20, checkpoint_every=7)
    (timed, told), (plain, expected) = (stumbling(at, checkpoint_seconds=limit, **plan) for limit in (2.0, None))
    assert_same_end(timed, plain)
    assert repr(told.rows) == repr(expected.rows)
    assert (told.ends, told.settled, told.messages) == (expected.ends, expected.settled, expected.messages)
    assert all(checkpoint in told.checkpoints for checkpoint in expected.checkpoints)


def test_a_late_check_waits_for_the_next_row():
    run, recorder = stumbling([2, NEVER], is_late=True, log_every=7, evaluate_every=50, max_updates=12)
    assert recorder.ends == [(6, 0, "diverged"), (12, 1, "budget")]  # before the row of update 7
    assert (run.replicas[0].updates, run.replicas[0].sequences) == (2, 20)
    assert "not finite at update 2" in run.replicas[0].message


def test_a_late_check_waits_for_at_most_so_many_updates():
    long = MAX_PENDING_UPDATES + 50
    _, recorder = stumbling([2, NEVER], is_late=True, log_every=long, evaluate_every=long, max_updates=long)
    assert recorder.ends[0] == (MAX_PENDING_UPDATES, 0, "diverged")


def test_rows_of_diverged_replicas_never_change():
    generator = torch.Generator().manual_seed(3)

    def draw(*size):
        return torch.randn(size, generator=generator)

    theta, state, since = draw(4, 5), {"velocity": draw(4, 5), "count": draw(4)}, torch.tensor([0, 0, 0, 2])
    after, loss = draw(4, 5), draw(4)
    after[1, 3], loss[2] = torch.inf, torch.nan
    gradient = Gradient(loss, draw(4, 5), None, None, 1, None, theta)
    cost = torch.zeros(4, dtype=torch.float64)
    made = Update(after, {"velocity": draw(4, 5), "count": draw(4)}, gradient, after, cost, cost, cost, cost)
    for number in (7, torch.tensor(7)):
        frozen = freeze_diverged(theta, state, since, made, number)
        assert frozen[2].tolist() == [0, 7, 7, 2]
        for kept, now, before in (
            (frozen[0], after, theta),
            *((frozen[1][name], made.state[name], state[name]) for name in state),
        ):
            assert torch.equal(kept[0], now[0])
            assert torch.equal(kept[1:], before[1:])


@pytest.mark.parametrize("optim", ["sgd", "nag optim.clip_norm=1", "adam"])
def test_on_a_device_no_number_is_read_between_rows(optim):
    """The meta device has none to read: the first row is where the run ends in an error."""
    meta = torch.device("meta")
    words = [*f"optim={optim}".split(), "task.sequence_length=8", "model.hidden_size=3", "optim.batch_size=4"]
    config = make_plan(parse_request(words)).configs[0]
    built = build([config, config])
    problem = Problem(built.task, Engine(built.model, device=meta), [0, 1])
    theta, recorder = torch.zeros(2, built.model.num_parameters, device=meta), Recorder()
    plan = replace(PLAN, log_every=5, evaluate_every=10)
    run = Training(problem, built.optimizer, theta, plan, recorder, recorder, Interrupt())
    run._is_new = False  # the evaluation before the first update is read
    with pytest.raises(RuntimeError, match="meta"):
        run.run()
    assert run.update == 4


def test_a_cpu_is_checked_at_every_update():
    run, recorder = training([float("nan")], max_updates=9, log_every=9, evaluate_every=9)
    run.run()
    assert recorder.ends == [(3, 0, "diverged")]
