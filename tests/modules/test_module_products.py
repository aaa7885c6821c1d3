"""Loss, gradient and Gauss-Newton products of torch modules against dense matrices by autograd."""

import pytest
import torch
from cases import F64, assert_close
from hypothesis import given, settings
from hypothesis import strategies as st
from small_modules import CASES, LastStep, dense_gauss_newton, make, mlp, normal, trained

from rnnbench.modules import linearization
from rnnbench.modules.linearization import DoubleBackward, ForwardMode, Linearizer
from rnnbench.modules.module_function import ModuleFunction, flat
from rnnbench.modules.module_objective import ModuleObjective


def objective_of(module, loss, batch, **options):
    return ModuleObjective(ModuleFunction(module), loss, batch, Linearizer(), **options)


@pytest.fixture(params=[ForwardMode, DoubleBackward])
def kind(request, monkeypatch):
    monkeypatch.setattr(linearization, "KINDS", (request.param,))
    return request.param


@pytest.mark.parametrize("name", CASES)
def test_products_are_those_of_the_dense_matrix(name, kind):
    module, loss, batch = make(name)
    dense = dense_gauss_newton(module, loss, batch)
    objective = objective_of(module, loss, batch)
    theta = objective.function.theta()
    matrix = objective.linearize(theta)
    vector = normal(1, theta.shape[1])
    assert_close(matrix.product(vector), vector @ dense)
    assert_close(matrix.quadratic_form(vector), ((vector @ dense) * vector).sum(1))
    assert_close(matrix.loss, loss(module(batch[0]), batch[1]).detach().view(1))


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradient_are_those_of_autograd(name):
    module, loss, batch = make(name)
    expected = loss(module(batch[0]), batch[1])
    gradient = torch.autograd.grad(expected, list(trained(module).values()))
    objective = objective_of(module, loss, batch)
    theta = objective.function.theta()
    computed = objective.loss_and_gradient(theta)
    assert_close(computed.loss, expected.detach().view(1))
    assert_close(computed.gradient, flat(gradient))
    assert_close(objective.loss(theta), expected.detach().view(1))
    assert sum(objective.group_sizes) == theta.shape[1]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(sorted(CASES)))
def test_the_matrix_is_linear_symmetric_and_positive_semi_definite(seed, name):
    objective = objective_of(*make(name, seed))
    theta = objective.function.theta()
    product = objective.linearize(theta).product
    one, other = normal(1, theta.shape[1]), normal(1, theta.shape[1])
    image, other_image = product(one), product(other)
    assert torch.allclose(product(2 * one - other), 2 * image - other_image, atol=1e-12)
    assert torch.allclose((other * image).sum(), (one * other_image).sum(), atol=1e-12)
    assert (one * image).sum() >= -1e-14


def test_structural_damping_is_the_mean_over_the_states():
    torch.manual_seed(0)
    module = LastStep(torch.nn.RNN, 2, 3, 1, returns_states=True).double()
    batch = normal(4, 5, 2), normal(5, 1)
    objective = objective_of(module, torch.nn.MSELoss(), batch, returns_states=True)
    theta, weight = objective.function.theta(), torch.tensor([[0.3]], dtype=F64)
    vector = normal(1, theta.shape[1])

    def states(*values):
        return torch.func.functional_call(module, dict(zip(trained(module), values, strict=True)), (batch[0],))[1]

    values = tuple(each.detach() for each in trained(module).values())
    jacobian = torch.cat([each.flatten(3) for each in torch.autograd.functional.jacobian(states, values)], -1)
    expected = torch.einsum("tbn,tbnp->p", jacobian @ vector[0], jacobian) * 0.3 / (4 * 5)
    damped = objective.linearize(theta, weight).product(vector)
    assert_close(damped - objective.linearize(theta).product(vector), expected.unsqueeze(0), 1e-10)


@pytest.mark.parametrize("kind", [torch.nn.RNN, torch.nn.GRU, torch.nn.LSTM])
def test_recurrent_nets_of_torch_in_float32(kind):
    """oneDNN's LSTM has no forward derivatives."""
    torch.manual_seed(0)
    module, batch = LastStep(kind, 2, 3, 1), (torch.randn(4, 5, 2), torch.randn(5, 1))
    objective = objective_of(module, torch.nn.MSELoss(), batch)
    theta = objective.function.theta()
    vector = torch.randn_like(theta)
    found = objective.linearize(theta).product(vector)
    double = module.double(), torch.nn.MSELoss(), (batch[0].double(), batch[1].double())
    assert_close(found.double(), vector.double() @ dense_gauss_newton(*double), 1e-5)


class FirstDerivativesAlone(torch.autograd.Function):
    """The sine, as cuDNN's recurrences: neither forward nor second derivatives."""

    @staticmethod
    def forward(ctx, inputs):
        ctx.save_for_backward(inputs)
        return inputs.sin()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0].cos()


class DropsTheGraph(torch.autograd.Function):
    """The sine, with a backward pass whose own derivative is silently zero."""

    @staticmethod
    def forward(ctx, inputs):
        ctx.save_for_backward(inputs)
        return inputs.sin()

    @staticmethod
    def backward(ctx, gradient):
        return gradient.detach() * ctx.saved_tensors[0].cos()


class Sine(torch.nn.Module):
    def __init__(self, function, *, like_cudnn):
        super().__init__()
        self.linear, self.function, self.like_cudnn = torch.nn.Linear(3, 2), function, like_cudnn

    def forward(self, inputs):
        hidden = self.linear(inputs)
        is_fused = torch.backends.cudnn.enabled or not self.like_cudnn
        return self.function.apply(hidden) if is_fused else hidden.sin()


@pytest.mark.parametrize("function", [FirstDerivativesAlone, DropsTheGraph])
def test_what_has_first_derivatives_alone_runs_without_cudnn(function):
    torch.manual_seed(0)
    batch = normal(5, 3), normal(5, 2)
    module = Sine(function, like_cudnn=True).double()
    objective = objective_of(module, torch.nn.MSELoss(), batch)
    theta = objective.function.theta()
    vector = normal(1, theta.shape[1])
    found = objective.linearize(theta).product(vector)
    assert torch.backends.cudnn.enabled
    dense = dense_gauss_newton(torch.nn.Sequential(module.linear, Sin()), torch.nn.MSELoss(), batch)
    assert_close(found, vector @ dense)
    without = objective_of(Sine(function, like_cudnn=False).double(), torch.nn.MSELoss(), batch)
    with pytest.raises(ValueError, match="neither forward nor by double backward"):
        without.linearize(theta)


class Sin(torch.nn.Module):
    def forward(self, inputs):
        return inputs.sin()


@pytest.mark.parametrize("make_module", [lambda: mlp(2, 3, 1), lambda: torch.nn.Sequential(mlp(2, 3, 1), Branching())])
def test_squared_gradients_are_those_of_each_example(make_module):
    """Also of a module that vmap cannot run."""
    torch.manual_seed(0)
    module, (inputs, targets) = make_module().double(), (normal(6, 2), normal(6, 1))
    objective = objective_of(module, torch.nn.MSELoss(), (inputs, targets))
    expected = 0
    for x, y in zip(inputs.split(1), targets.split(1), strict=True):
        gradient = torch.autograd.grad(torch.nn.functional.mse_loss(module(x), y), list(module.parameters()))
        expected = expected + flat(gradient).square() / 6
    assert_close(objective.mean_squared_gradient(objective.function.theta()), expected)


class Branching(torch.nn.Module):
    def forward(self, inputs):
        return inputs.tanh() if inputs.sum().item() > 0 else inputs.sigmoid()
