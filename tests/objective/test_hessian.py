"""Hessian products against torch's dense Hessian of an independent plain loop in float64."""

import pytest
import torch
from cases import F64, assert_close, assert_replica_law, case_of, make_case, mean_loss, random_batch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_rnn import ACTIVATIONS, run

from rnnbench.checks.model_laws import hessian_product_is_that_of_autograd
from rnnbench.losses import LOSSES
from rnnbench.models.gru import Gru
from rnnbench.models.lstm import Lstm
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.objective import engine
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.objective.sharded import ShardedObjective
from rnnbench.tasks.base import Batch

RELATIVE = 1e-10  # float64; torch keeps binary_cross_entropy, in the reference, from dividing by less than 1e-12


def case(model, loss, **options):
    made = make_case(model, loss, num_steps=4, **options)
    return made.theta, made.batch, made.objective, made.vector()


def dense_hessian(model, nonlinearity, theta, batch, loss):
    """(R, P, P), one replica after the other."""

    def loss_of(row, one):
        outputs, _, _ = run(model, nonlinearity, row.unsqueeze(0), one)
        return mean_loss(loss, outputs, one.targets).sum()

    rows = [(theta[r], batch.replicas(slice(r, r + 1))) for r in range(len(theta))]
    return torch.stack([torch.autograd.functional.hessian(lambda x, b=one: loss_of(x, b), row) for row, one in rows])


def is_native(model):
    return model.backend_name(torch.device("cpu"), torch.float64) == "native kernels"


@pytest.mark.parametrize("recurrence", ["torch", "auto"])
@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("nonlinearity", ACTIVATIONS)
def test_product_equals_the_dense_hessian_of_a_plain_loop(nonlinearity, loss, every_step, recurrence):
    model = SimpleRnn(2, 2, 3, nonlinearity, recurrence)
    if recurrence == "auto" and not is_native(model):
        pytest.skip("no native kernels")
    theta, batch, objective, vector = case(model, loss, every_step=every_step)
    matrix = dense_hessian(model, nonlinearity, theta, batch, loss)
    hessian = objective.hessian(theta)
    assert_close(hessian.product(vector), torch.einsum("rij,rj->ri", matrix, vector), RELATIVE)
    assert_close(
        hessian.product(vector - 1), torch.einsum("rij,rj->ri", matrix, vector - 1), RELATIVE
    )  # nothing of the first is left
    assert_close(objective.hessian_product(theta, vector), torch.einsum("rij,rj->ri", matrix, vector), RELATIVE)


@settings(max_examples=25)
@given(
    num_replicas=st.integers(1, 3),
    num_sequences=st.integers(1, 20),
    num_steps=st.integers(1, 9),
    num_outputs=st.sampled_from((1, 2, 5, None)),
    recurrence=st.sampled_from(("auto", "torch")),
    seed=st.integers(0, 99),
)
def test_outputs_at_any_steps_and_replicas_alone(num_replicas, num_sequences, num_steps, num_outputs, recurrence, seed):
    """Sequences of different lengths, each with outputs at some of its steps or at every one."""
    generator = torch.Generator().manual_seed(seed)
    shape = num_steps, num_replicas, num_sequences
    batch = random_batch(*shape, 2, "squared_error", every_step=num_outputs is None, generator=generator)
    if num_outputs is not None:
        steps = torch.rand(shape, generator=generator).argsort(0)[:num_outputs].sort(0).values
        targets = torch.randn(*steps.shape, 2, generator=generator, dtype=F64)
        batch = Batch(batch.inputs, steps[-1] + 1, steps, targets)
    case = case_of(SimpleRnn(2, 2, 4, recurrence=recurrence), "squared_error", batch, generator=generator)
    assert_replica_law(case)
    hessian_product_is_that_of_autograd(case)


@pytest.mark.parametrize("model", [Lstm(2, 2, 3), Gru(2, 2, 3), SimpleRnn(2, 2, 3)], ids=lambda x: type(x).__name__)
def test_product_is_the_derivative_of_the_sweeps_gradient(model):
    """Fourth-order differences of the gradient that trains: off by 1e-16 / step (rounding) and step^4 (theory)."""
    theta, _, objective, vector = case(model, "softmax_cross_entropy")
    step = 1e-3

    def gradient(factor):
        return objective.loss_and_gradient(theta + factor * step * vector).gradient

    expected = (8 * (gradient(1) - gradient(-1)) - (gradient(2) - gradient(-2))) / (12 * step)
    error = (objective.hessian_product(theta, vector) - expected).abs().max() / expected.abs().max()
    assert error < 1e-7


def test_blocks_and_threads_change_nothing(monkeypatch):
    monkeypatch.setattr(engine, "BYTES_PER_SHARED_BLOCK", 50_000)
    model = SimpleRnn(2, 2, 3)
    theta, batch, objective, vector = case(model, "squared_error", num_sequences=300, threads=2)
    assert len(objective.blocks) > 1
    whole = Objective(Engine(model, dtype=torch.float64), LOSSES["squared_error"], batch)
    assert_close(objective.hessian_product(theta, vector), whole.hessian_product(theta, vector), RELATIVE)


def test_shares_of_a_batch_add_up():
    model = SimpleRnn(2, 2, 3)
    theta, batch, objective, vector = case(model, "squared_error", num_sequences=6)

    def share(rows):
        return ShardedObjective(
            objective.engine,
            objective.loss_function,
            range(6),
            lambda wanted: batch.rows(wanted.start, wanted.stop),
            lambda _: rows,
            lambda tensor: tensor,
        )

    parts = [share(rows).hessian_product(theta, vector) for rows in (range(2), range(2, 6))]
    assert_close(sum(parts), objective.hessian_product(theta, vector), RELATIVE)


def test_a_vector_of_another_shape_is_refused():
    theta, _, objective, vector = case(SimpleRnn(2, 2, 3), "squared_error")
    with pytest.raises(ValueError, match="expected a vector of theta's shape"):
        objective.hessian_product(theta, vector[:, 1:])
