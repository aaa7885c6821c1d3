"""Products of the damped quadratic while replicas stop, one after the other."""

import torch

from rnnbench.losses import LOSSES
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.objective import engine
from rnnbench.objective.engine import ROWS_PER_BLOCK, Engine
from rnnbench.objective.objective import Objective
from rnnbench.optim.quadratic_model import Damping, Penalized, QuadraticModel
from rnnbench.tasks.adding import Adding


def case(num_replicas, num_sequences, seed=0):
    model = SimpleRnn(2, 1, 5)
    generator = torch.Generator().manual_seed(seed)
    theta, gradient, vector = 0.4 * torch.randn(
        3, num_replicas, model.num_parameters, generator=generator, dtype=torch.float64
    )
    batch = Adding(12, "hf11").replica_batch(range(num_replicas), 0, 0, num_sequences, dtype=torch.float64)
    weight = torch.rand(3, num_replicas, 1, generator=generator, dtype=torch.float64)
    objective = Penalized(Objective(Engine(model, dtype=torch.float64), LOSSES["squared_error"], batch), weight[0])
    damping = Damping(weight[1], weight[2], "batch_time")
    return QuadraticModel(objective, theta, gradient, damping), vector


def test_replicas_that_have_stopped_are_gathered_out():
    model, vector = case(6, 4)
    whole = model.product(vector)
    packed = set()
    for running in ([0, 1, 2, 3, 4, 5], [0, 2, 3, 5], [0, 3, 5], [3, 5], [5], []):
        active = [row in running for row in range(6)]
        spoilt = torch.where(torch.tensor(active).unsqueeze(1), vector, torch.nan)
        found = model.product(spoilt, active)
        assert torch.allclose(found[running], whole[running], rtol=1e-11)
        packed.add(tuple(model._rows))
    assert packed == {(0, 1, 2, 3, 4, 5), (0, 3, 5), (5,)}
    assert torch.allclose(model.product(vector), whole, rtol=1e-12)


def test_replicas_in_blocks_of_their_own_are_not_moved(monkeypatch):
    monkeypatch.setattr(engine, "BYTES_PER_SHARED_BLOCK", 1_000_000)
    model, vector = case(2, ROWS_PER_BLOCK)
    model.product(vector, [True, False])
    assert len(model._rows) == 2


def test_the_undamped_value_lies_below_the_damped_one():
    model, step = case(3, 4)
    linear = (model.gradient * step).sum(1)
    assert (model.undamped_value(step) < linear + 0.5 * (step * model.product(step)).sum(1)).all()
