import dataclasses
import math

import pytest
import torch

from rnnbench.records.summary import SolvedAt
from rnnbench.training.checkpoint import load_checkpoint, save_checkpoint
from rnnbench.training.replica import Replica, Snapshot

SOLVED = Replica(
    status="running",
    updates=7,
    sequences=70.5,
    products=2.0,
    seconds=0.1,
    loss=1 / 3,
    error_rate=0.004,
    hits=[SolvedAt(5, 50, 0.05), SolvedAt(6, 60, 0.06)],
    solved_at=SolvedAt(5, 50, 0.05),
)


def snapshot(*places, update=7, num_logged=3):
    """Replicas whose every number tells their place."""
    place = torch.tensor(places, dtype=torch.float64).reshape(-1, 1)
    return Snapshot(
        update=update,
        num_logged=num_logged,
        theta=place + torch.arange(3) / 10,
        optimizer_state={"velocity": place * torch.ones(3), "count": place[:, 0].to(torch.int64)},
        previous={"theta": place - torch.arange(3) / 10, "gradient": 2 * place * torch.ones(3)},
        replicas=[dataclasses.replace(SOLVED, loss=float(number)) for number in places],
    )


def assert_equal(one, other):
    assert (one.update, one.num_logged) == (other.update, other.num_logged)
    assert list(one.replicas) == list(other.replicas)
    assert one.optimizer_state.keys() == other.optimizer_state.keys()
    assert one.previous.keys() == other.previous.keys()
    pairs = [
        (one.theta, other.theta),
        *((one.optimizer_state[key], other.optimizer_state[key]) for key in one.optimizer_state),
        *((one.previous[key], other.previous[key]) for key in one.previous),
    ]
    for left, right in pairs:
        torch.testing.assert_close(left, right, rtol=0, atol=0)


def test_contents_through_a_file(tmp_path):
    before = snapshot(0, 1, 2)
    save_checkpoint(tmp_path / "a.pt", before.contents())
    after = Snapshot.from_contents(load_checkpoint(tmp_path / "a.pt"))
    assert_equal(before, after)
    assert isinstance(after.replicas[0].solved_at, SolvedAt)
    assert all(isinstance(hit, SolvedAt) for hit in after.replicas[0].hits)


@pytest.mark.parametrize("status", ["solved", "budget", "interrupted", "diverged", "failed", "running"])
def test_a_replica_out_of_a_file_goes_on(status):
    ended = dataclasses.replace(SOLVED, status=status, message="what happened", solved_at=None, hits=[], loss=math.inf)
    assert Replica.from_contents(dataclasses.asdict(ended)) == dataclasses.replace(
        ended, status="running", message=None
    )


def test_what_goes_on_does_not_change_what_it_came_from():
    contents = snapshot(0).contents()
    replica = Snapshot.from_contents(contents).replicas[0]
    replica.hits.append(SolvedAt(7, 70, 0.07))
    replica.updates += 1
    assert Snapshot.from_contents(contents).replicas[0] == dataclasses.replace(SOLVED, loss=0.0)


@pytest.mark.parametrize("index", [[2, 0], [1], [0, 1, 2], []])
def test_rows(index):
    assert_equal(snapshot(0, 1, 2).rows(index), snapshot(*index))


def test_join():
    assert_equal(Snapshot.join([snapshot(3), snapshot(0, 1), snapshot(2)]), snapshot(3, 0, 1, 2))
    assert_equal(Snapshot.join([snapshot(1)]), snapshot(1))
    whole = snapshot(0, 1, 2, 3)
    assert_equal(Snapshot.join([whole.rows([0, 1]), whole.rows([2, 3])]), whole)


@pytest.mark.parametrize("other", [{"update": 8}, {"num_logged": 4}])
def test_join_at_different_updates(other):
    with pytest.raises(ValueError, match=r"after \[7(, 8)?\] updates cannot be joined"):
        Snapshot.join([snapshot(0), snapshot(1, **other)])
