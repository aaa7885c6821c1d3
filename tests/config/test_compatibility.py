"""A model or loss that an optimizer cannot use is bad input: one clear line each."""

import pytest
import torch

from rnnbench.config.build import build
from rnnbench.config.compose import Composer
from rnnbench.config.errors import ConfigError
from rnnbench.config.request import Request
from rnnbench.losses import Loss
from rnnbench.models.base import Model, Sweeps
from rnnbench.models.cell import Cell
from rnnbench.models.parameters import Parameter
from rnnbench.tasks.adding import Adding


class AbsoluteError(Loss):
    """A loss without second derivative."""

    def values(self, outputs, targets):
        return (outputs - targets).abs().sum(-1)

    def gradient(self, outputs, targets):
        return (outputs - targets).sign()


class Unknown(Adding):
    loss = "cubic_error"


class Absolute(Adding):
    loss = AbsoluteError()


class OneWaySweeps(Sweeps):
    def __init__(self, shape):
        self.shape = shape

    def load(self, batch):
        self.batch = batch

    def forward(self, weights):
        return torch.zeros(1, self.shape.replicas, self.shape.sequences, 1)

    def backward(self, output_gradients):
        return torch.zeros(self.shape.replicas, 1)

    def states(self, sequences):
        raise AssertionError

    state_gradients = states


class OneWay(Model):
    """A model whose sweeps are not linearized."""

    def __init__(self, input_size, output_size, hidden_size):
        self.input_size, self.output_size, self.hidden_size = input_size, output_size, hidden_size
        self.layout = {"bias_out": Parameter((1,), "readout_bias")}

    def weights(self, theta):
        return theta

    def slice_weights(self, weights, replicas):
        return weights[replicas]

    def sweeps(self, shape, share=None):
        return OneWaySweeps(shape)

    def block_bytes(self, shape):
        return 0


class LinearizedSweeps(OneWaySweeps):
    def linearized_forward(self, direction, *, for_damping=True):
        raise AssertionError

    def linearized_backward(self, output_gradients, structural):
        raise AssertionError


class Stateless(OneWay):
    """A model with products and nothing that structural damping could act on."""

    def sweeps(self, shape, share=None):
        return LinearizedSweeps(shape)


class Unbounded(Cell):
    """A cell whose state is not inside (-1, 1)."""

    def step_layout(self):
        n = self.hidden_size
        return {"W": Parameter((n, n), "recurrent"), "U": Parameter((n, self.input_size), "input")}

    def step(self, parameters, state, inputs):
        return (state[0] @ parameters["W"].mT + inputs @ parameters["U"].mT,)


class Feedforward(Cell):
    """A cell without recurrent weights."""

    def step_layout(self):
        return {"U": Parameter((self.hidden_size, self.input_size), "input")}

    def step(self, parameters, state, inputs):
        return (inputs @ parameters["U"].mT + 0 * state[0],)


def built(*overrides, **targets):
    with Composer(Request()) as composer:
        config = composer.compose(overrides).config
    for group, target in targets.items():
        getattr(config, group)._target_ = f"{__name__}.{target.__name__}"
    if "model" in targets:
        del config.model.nonlinearity, config.model.recurrence
    return build([config])


@pytest.mark.parametrize(
    ("overrides", "targets", "message"),
    [
        ((), {"task": Unknown}, "task: Unknown.loss must be one of squared_error, softmax_cross_entropy, sigmoid_"),
        ((), {"task": Absolute}, "optim: the loss AbsoluteError has no hessian_product, so no Gauss-Newton product"),
        (("optim=adam",), {"model": Feedforward}, "probe.recurrent_weight: Feedforward has no parameter of kind "),
        (("optim=adam",), {"model": OneWay}, "probe.state_jacobian: OneWay has no state_jacobians; set "),
        (("optim=sgd", "optim.information_flow=1"), {"model": Unbounded}, "optim.information_flow: the penalty on "),
        ((), {"model": OneWay}, "optim: OneWay has no linearized sweeps, so no Gauss-Newton product"),
        (("optim=psgd",), {"model": OneWay}, "optim: OneWay has no step, so no Hessian product; choose an optimizer "),
        ((), {"model": Stateless}, "optim: Stateless has no hidden states that structural damping could act on; set "),
    ],
)
def test_is_refused_by_one_line(overrides, targets, message):
    with pytest.raises(ConfigError) as caught:
        built(*overrides, **targets)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "targets"),
    [
        (("optim=adam",), {"task": Absolute}),
        (("optim=adam", "probe.state_jacobian.every=0", "probe.recurrent_weight.every=0"), {"model": OneWay}),
        (("optim.structural_damping=0", "probe=none"), {"model": Stateless}),
        ((), {"model": Unbounded}),
    ],
)
def test_what_does_without_is_built(overrides, targets):
    built(*overrides, **targets)
