"""The net of the latch against a plain loop, and against what is known of its one-unit form."""

import math

import pytest
import torch

from rnnbench.losses import LOSSES
from rnnbench.models.latch import Latch
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.tasks.base import Stream
from rnnbench.tasks.latch import Latch as LatchTask


def test_loss_and_gradient_equal_a_plain_loop():
    task = LatchTask(7, noise=0.5, num_noise_inputs=3)
    model = Latch(task.input_size, 1, 3)
    theta = torch.randn(2, model.num_parameters, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    batch = task.replica_batch([1, 2], Stream.GRADIENT, 0, 4, dtype=torch.float64)
    theta.requires_grad_()
    p = model.parameters(theta)
    state = p["initial_state"].unsqueeze(1).expand(2, 4, 3)
    for inputs in batch.inputs:
        weighted = torch.einsum("rnd,rbd->rbn", p["weight_ih"], inputs[..., :6]) + inputs[..., 6:]
        state = torch.tanh(torch.einsum("rmn,rbn->rbm", p["weight_hh"], state) + weighted)
    outputs = torch.einsum("ron,rbn->rbo", p["weight_out"], state) + p["bias_out"].unsqueeze(1)
    loss = (outputs - batch.targets[0]).square().mean((1, 2))
    (expected,) = torch.autograd.grad(loss.sum(), theta)
    objective = Objective(Engine(model, dtype=torch.float64), LOSSES[task.loss], batch)
    found = objective.loss_and_gradient(theta.detach())
    assert torch.allclose(found.loss, loss.detach(), rtol=1e-13)
    assert torch.allclose(found.gradient, expected, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize(("weight", "fixed_point", "slope"), [(1.25, 0.710, 0.619), (2.0, 0.957, 0.167)])
def test_the_slope_at_the_stored_state(weight, fixed_point, slope):
    """x = tanh(w x), and w (1 - x^2) there."""
    model = Latch(7, 1, 1)
    theta = torch.zeros(1, model.num_parameters, dtype=torch.float64)
    model.parameters(theta)["weight_hh"].fill_(weight)
    state = torch.full((1, 1, 1), 0.5, dtype=torch.float64)
    silence = torch.zeros(1, 1, 7, dtype=torch.float64)
    for _ in range(200):
        (state,) = model.step(model.parameters(theta), (state,), silence)
    assert float(state) == pytest.approx(fixed_point, abs=1e-3)
    assert math.tanh(weight * float(state)) == pytest.approx(float(state), abs=1e-12)
    assert float(model.state_jacobians(theta, state, silence)) == pytest.approx(slope, abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"), [((7, 1, 7), "adds one input to each of its 7 units"), ((7, 1, 1, "relu"), "tanh")]
)
def test_what_cannot_be_built(arguments, message):
    with pytest.raises(ValueError, match=message):
        Latch(*arguments)
