"""What each step adds to the gradient, against autograd with weights of its own for every step."""

import pytest
import torch

from rnnbench.losses import LOSSES
from rnnbench.models.lstm import Lstm
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.objective import step_gradients
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.objective.step_gradients import StepGradients
from rnnbench.tasks.base import Batch

NUM_STEPS, LENGTHS = 6, [6, 4, 5]
MODELS = [SimpleRnn(2, 1, 4), Lstm(2, 1, 3)]


def untied_gradients(model, theta, batch):
    """dL/d(weights of step t of sequence k), (R, B, T, p), by torch's own cells; L is the batch's mean loss."""
    rows = []
    for r in range(len(theta)):
        p = {name: view[r] for name, view in model.parameters(theta).items()}
        for k in range(batch.size):
            copies = [
                [p[name].clone().requires_grad_() for name in ("weight_hh", "weight_ih", "bias")]
                for _ in range(NUM_STEPS)
            ]
            state = p["initial_state"].view(-1, 1, model.hidden_size)
            for t in range(int(batch.lengths[r, k])):
                weight_hh, weight_ih, bias = copies[t]
                x, none = batch.inputs[t, r, k : k + 1], torch.zeros_like(bias)
                if isinstance(model, Lstm):
                    state = torch.lstm_cell(x, (state[0], state[1]), weight_ih, weight_hh, bias, none)
                else:
                    state = (torch.rnn_tanh_cell(x, state[0], weight_ih, weight_hh, bias, none),)
            error = state[0] @ p["weight_out"].T + p["bias_out"] - batch.targets[0, r, k]
            loss = error.square().sum() / batch.size
            flat = [x for copy in copies for x in copy]
            gradients = torch.autograd.grad(loss, flat, allow_unused=True, materialize_grads=True)
            steps = [torch.cat([g.flatten() for g in gradients[3 * t : 3 * t + 3]]) for t in range(NUM_STEPS)]
            rows.append(torch.stack(steps))
    return torch.stack(rows).unflatten(0, (len(theta), batch.size))


def case(model):
    generator = torch.Generator().manual_seed(3)
    theta = 0.6 * torch.randn(2, model.num_parameters, generator=generator, dtype=torch.float64)
    lengths = torch.tensor([LENGTHS, LENGTHS[::-1]])
    inputs = torch.randn(NUM_STEPS, 2, 3, 2, generator=generator, dtype=torch.float64)
    targets = torch.randn(1, 2, 3, 1, generator=generator, dtype=torch.float64)
    batch = Batch(inputs, lengths, (lengths - 1)[None], targets)
    found = Objective(Engine(model, dtype=torch.float64), LOSSES["squared_error"], batch).loss_and_gradient(theta)
    trace = found.trace
    steps = StepGradients(model, theta, trace.states(3), inputs, trace.state_gradients(3), lengths)
    return theta, batch, steps, found.gradient


@pytest.fixture(params=[None, 1], ids=["at once", "one by one"], autouse=True)
def _chunks(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(step_gradients, "NUMBERS_AT_ONCE", 1)
        monkeypatch.setattr(step_gradients, "NUMBERS_KEPT", 1)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_steps_are_those_of_untied_weights_and_sum_to_the_gradient(model):
    theta, batch, steps, gradient = case(model)
    found = torch.cat(list(steps.by_step()))
    untied = untied_gradients(model, theta, batch)
    assert torch.allclose(found, untied.sum(1).transpose(0, 1), rtol=1e-11, atol=1e-15)
    named = model.parameters(gradient)
    whole = torch.cat([named[name].flatten(1) for name in model.step_parameters], 1)
    assert torch.allclose(found.sum(0), whole, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_lags_count_from_each_sequences_own_end_and_shares_sum_to_one(model):
    theta, batch, steps, _ = case(model)
    untied, found = untied_gradients(model, theta, batch), steps.by_lag()
    for r in range(2):
        whole = untied[r].sum((0, 1))
        for lag in range(NUM_STEPS):
            ends = [(k, int(length) - 1 - lag) for k, length in enumerate(batch.lengths[r]) if lag < length]
            own = sum(untied[r, k, t] for k, t in ends)
            assert found.norms[r, lag].item() == pytest.approx(own.norm().item(), rel=1e-11)
            assert found.shares[r, lag].item() == pytest.approx((own @ whole / (whole @ whole)).item(), rel=1e-11)
        assert torch.allclose(found.whole[r], whole, rtol=1e-11, atol=1e-15)
    assert torch.allclose(found.shares.sum(1), torch.ones(2, dtype=torch.float64), rtol=1e-12)
