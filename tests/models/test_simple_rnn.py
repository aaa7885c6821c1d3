"""Layout, weights and state-transition Jacobians of the simple recurrent net."""

import pytest
import torch

from rnnbench.models.base import BlockShape
from rnnbench.models.nonlinearity import NONLINEARITIES
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.tasks.base import Batch


def test_parameters_are_named_views_of_theta():
    model = SimpleRnn(2, 3, 5)
    assert model.num_parameters == 25 + 10 + 5 + 5 + 15 + 3
    theta = torch.arange(2 * model.num_parameters, dtype=torch.float64).view(2, -1)
    parameters = model.parameters(theta)
    shapes = {name: parameter.shape for name, parameter in model.layout.items()}
    assert {name: tuple(view.shape[1:]) for name, view in parameters.items()} == shapes
    for r in range(2):
        assert torch.equal(model.flatten({name: view[r] for name, view in parameters.items()}), theta[r])
    parameters["bias"][1] = -1
    assert (theta[1] == -1).sum() == 5


def test_equals_torch_rnn_by_weight_transfer():
    model, generator = SimpleRnn(2, 1, 6), torch.Generator().manual_seed(0)
    theta = torch.randn(1, model.num_parameters, generator=generator, dtype=torch.float64)
    p = {name: view[0] for name, view in model.parameters(theta).items()}
    net = torch.nn.RNN(2, 6, dtype=torch.float64)
    with torch.no_grad():
        net.weight_hh_l0.copy_(p["weight_hh"])
        net.weight_ih_l0.copy_(p["weight_ih"])
        net.bias_ih_l0.copy_(p["bias"])
        net.bias_hh_l0.zero_()
    inputs = torch.randn(9, 4, 2, generator=generator, dtype=torch.float64)
    expected, _ = net(inputs, p["initial_state"].expand(1, 4, -1).contiguous())

    sweeps = model.sweeps(BlockShape(1, 9, 4, torch.float64, torch.device("cpu")))
    sweeps.load(Batch(inputs.unsqueeze(1), torch.full((1, 4), 9), None, torch.zeros(9, 1, 4, 1)))
    outputs = sweeps.forward(model.weights(theta))
    assert torch.allclose(sweeps.states(4)[1:, 0], expected, rtol=1e-12)
    assert torch.allclose(outputs[:, 0], expected @ p["weight_out"].T + p["bias_out"], rtol=1e-12)


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_state_jacobians_equal_autograd(nonlinearity):
    model, generator = SimpleRnn(2, 1, 4, nonlinearity), torch.Generator().manual_seed(1)
    theta = torch.randn(3, model.num_parameters, generator=generator, dtype=torch.float64)
    p = model.parameters(theta)
    before = torch.randn(3, 2, 4, generator=generator, dtype=torch.float64)
    inputs = torch.randn(3, 2, 2, generator=generator, dtype=torch.float64)
    activate = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu, "linear": lambda x: x}[nonlinearity]

    def step(state, given, r):
        return activate(p["weight_hh"][r] @ state + p["weight_ih"][r] @ given + p["bias"][r])

    jacobians, after = model.state_jacobians(theta, before, inputs), model.next_states(theta, before, inputs)
    by_inputs = model.input_jacobians(theta, before, inputs)
    for r in range(3):
        for k in range(2):
            given = before[r, k], inputs[r, k]
            assert torch.allclose(after[r, k], step(*given, r), rtol=1e-12)
            by_state, by_input = torch.autograd.functional.jacobian(lambda *given, r=r: step(*given, r), given)
            assert torch.allclose(jacobians[r, k], by_state, rtol=1e-12)
            assert torch.allclose(by_inputs[r, k], by_input, rtol=1e-12)


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_derivatives_of_the_nonlinearities_equal_autograd(nonlinearity):
    function = NONLINEARITIES[nonlinearity]
    a = torch.linspace(-3, 3, 20, dtype=torch.float64, requires_grad=True)
    state = function.of(a)
    (first,) = torch.autograd.grad(state.sum(), a, create_graph=True)
    second = torch.autograd.grad(first.sum(), a)[0] if first.requires_grad else torch.zeros_like(a)
    assert torch.allclose(function.derivative(state), first, rtol=1e-12)
    assert torch.allclose(function.second_derivative(state), second, rtol=1e-12)


def test_block_bytes_are_what_a_block_takes():
    model = SimpleRnn(2, 1, 20, recurrence="torch")
    shape = BlockShape(3, 10, 7, torch.float32, torch.device("cpu"))
    sweeps = model.sweeps(shape)
    taken = sum(b.nbytes for b in (sweeps.rows, sweeps.tangents, sweeps.pre_gradients))
    assert taken == pytest.approx(model.block_bytes(shape), rel=0.1)


def test_unknown_nonlinearity_is_refused():
    with pytest.raises(
        ValueError, match=r"model\.nonlinearity must be one of tanh, sigmoid, relu, linear, got softsign"
    ):
        SimpleRnn(2, 1, 3, "softsign")
