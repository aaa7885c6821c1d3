"""Layout, weights and state-transition Jacobians of the simple recurrent net."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.models import products
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
    model = SimpleRnn(2, 1, 20)
    shape = BlockShape(3, 10, 7, torch.float32, torch.device("cpu"))
    sweeps = model.sweeps(shape)
    taken = sum(b.nbytes for b in (sweeps.rows, sweeps.tangents, sweeps.pre_gradients))
    assert taken == pytest.approx(model.block_bytes(shape), rel=0.1)


def test_unknown_nonlinearity_is_refused():
    with pytest.raises(
        ValueError, match=r"model\.nonlinearity must be one of tanh, sigmoid, relu, linear, got softsign"
    ):
        SimpleRnn(2, 1, 3, "softsign")


@given(
    num_replicas=st.integers(1, 3),
    num_sequences=st.integers(1, 12),
    hidden_size=st.integers(1, 9),
    small_product=st.integers(1, 3000),
    every_step=st.booleans(),
)
def test_products_in_pieces_equal_whole_ones(num_replicas, num_sequences, hidden_size, small_product, every_step):
    """Whatever counts as small: outputs, gradient, and the linearized sweeps with structural damping."""
    generator = torch.Generator().manual_seed(num_sequences)

    def normal(*size):
        return torch.randn(size, generator=generator, dtype=torch.float64)

    model, num_steps = SimpleRnn(2, 1, hidden_size), 5
    theta, direction = normal(2, num_replicas, model.num_parameters)
    theta *= 0.3  # gradients that explode would bring the roundings of large numbers
    steps = None if every_step else torch.randint(num_steps, (1, num_replicas, num_sequences), generator=generator)
    num_outputs = num_steps if every_step else 1
    batch = Batch(
        normal(num_steps, num_replicas, num_sequences, 2),
        torch.full((num_replicas, num_sequences), num_steps),
        steps,
        torch.zeros(num_outputs, num_replicas, num_sequences, 1),
    )
    cotangents = normal(num_outputs, num_replicas, num_sequences, 1)
    found = []
    for limit, fewest in ((products.SMALL_PRODUCT, 10**9), (small_product, 1)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(products, "SMALL_PRODUCT", limit)
            patch.setattr(products, "MIN_ROWS", fewest)
            shape = BlockShape(num_replicas, num_steps, num_sequences, torch.float64, torch.device("cpu"))
            sweeps = model.sweeps(shape)
        sweeps.load(batch)
        outputs, gradient = sweeps.forward(model.weights(theta)), sweeps.backward(cotangents)
        tangents = sweeps.linearized_forward(model.weights(direction))
        distance = "squared_error" if hidden_size % 2 else "cross_entropy"
        structural = torch.full((num_replicas, 1, 1), 0.3, dtype=torch.float64)
        found.append((outputs, gradient, tangents, sweeps.linearized_backward(cotangents, structural, distance)))
    for whole, pieces in zip(*found, strict=True):
        assert torch.allclose(whole, pieces, rtol=1e-12, atol=1e-12)


@given(st.integers(1, 400), st.integers(1, 10**6))
def test_pieces_are_equal_and_small(num_rows, size):
    pieces = products.num_pieces(num_rows, size)
    assert num_rows % pieces == 0
    if pieces > 1:
        assert num_rows // pieces * size <= products.SMALL_PRODUCT
        assert num_rows // pieces >= products.MIN_ROWS


def test_blocks_of_the_usual_sizes_are_cut():
    assert products.num_pieces(100, 103 * 100) == 2
    assert products.num_pieces(336, 103 * 100) == 4
    assert products.num_pieces(20, 53 * 50) == 1
