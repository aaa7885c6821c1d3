"""The sweeps of any cell against the hand-derived ones of the simple recurrent net."""

import pytest
import torch
from cases import assert_close, random_batch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_cell import ACTIVATIONS, PlainCell

from rnnbench.losses import LOSSES
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective


class Memoryless(PlainCell):
    """A cell that reads neither its state nor one of its parameters."""

    def step(self, parameters, state, inputs):
        return (torch.tanh(inputs @ parameters["weight_ih"].mT),)


@settings(max_examples=40)
@given(
    nonlinearity=st.sampled_from(list(ACTIVATIONS)),
    loss=st.sampled_from(list(LOSSES)),
    every_step=st.booleans(),
    num_replicas=st.integers(1, 4),
    num_sequences=st.sampled_from([1, 2, 9]),
    num_steps=st.integers(1, 10),
    hidden_size=st.integers(1, 8),
    seed=st.integers(0, 1000),
)
def test_equal_the_hand_derived_sweeps(
    nonlinearity, loss, every_step, num_replicas, num_sequences, num_steps, hidden_size, seed
):
    generator = torch.Generator().manual_seed(seed)
    models = SimpleRnn(2, 3, hidden_size, nonlinearity), PlainCell(2, 3, hidden_size, nonlinearity)
    assert dict(models[0].layout) == dict(models[1].layout)
    theta = 0.5 * torch.randn(num_replicas, models[0].num_parameters, generator=generator, dtype=torch.float64)
    vector = torch.randn(theta.shape, generator=generator, dtype=torch.float64)
    batch = random_batch(num_steps, num_replicas, num_sequences, 3, loss, every_step=every_step, generator=generator)
    results = []
    for model in models:
        objective = Objective(Engine(model, dtype=torch.float64), LOSSES[loss], batch)
        found = objective.loss_and_gradient(theta)
        states, gradients = found.trace.states(num_sequences), found.trace.state_gradients(num_sequences)
        # A cell damps J_h^T J_h, SimpleRnn J_a^T diag(f') J_a: the same where f'^2 = f'.
        weight = torch.full((num_replicas, 1), 0.3, dtype=torch.float64) if nonlinearity in ("relu", "linear") else None
        product = objective.linearize(theta, weight).product(vector)
        jacobians = model.state_jacobians(theta, states[:-1], batch.inputs)
        results.append([objective.outputs(theta), found.loss, found.gradient, states, gradients, jacobians, product])
    for hand_derived, general in zip(*results, strict=True):
        assert_close(general, hand_derived)


@pytest.mark.parametrize("every_step", [False, True])
def test_what_a_step_does_not_read_has_no_derivative(every_step):
    generator = torch.Generator().manual_seed(0)
    model = Memoryless(2, 1, 3, "tanh")
    theta = torch.randn(2, model.num_parameters, generator=generator, dtype=torch.float64)
    batch = random_batch(4, 2, 3, 1, "squared_error", every_step=every_step, generator=generator)
    objective = Objective(Engine(model, dtype=torch.float64), LOSSES["squared_error"], batch)
    gradient = model.parameters(objective.loss_and_gradient(theta).gradient)
    for name in ("weight_hh", "bias", "initial_state"):
        assert torch.equal(gradient[name], torch.zeros_like(gradient[name]))
    assert (gradient["weight_ih"] != 0).all()
    direction = torch.zeros_like(theta)
    model.parameters(direction)["weight_hh"][:] = 1
    assert torch.equal(objective.linearize(theta, torch.ones(2, 1)).product(direction), torch.zeros_like(theta))
