"""Classes that break one law each."""

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from documents import own_module

from rnnbench.init.identity import IdentityInit
from rnnbench.losses import Loss
from rnnbench.metrics import Metric
from rnnbench.models.cell import Cell
from rnnbench.models.parameters import Parameter
from rnnbench.optim.sgd import Sgd
from rnnbench.probes.base import Probe, Reading


class Good(own_module("task/first_value").FirstValue):
    """A task that breaks no law."""

    def __init__(self, sequence_length=4):
        super().__init__(sequence_length)


class Unrepeatable(Good):
    def draw(self, draw):
        batch = super().draw(draw)
        batch.inputs.copy_(torch.rand(batch.inputs.shape))
        return batch


class Centred(Good):
    """Rows depend on the others of their batch."""

    def draw(self, draw):
        batch = super().draw(draw)
        return replace(batch, inputs=batch.inputs - batch.inputs.mean(2, keepdim=True))


class Mixing(Good):
    """Replicas depend on each other."""

    def draw(self, draw):
        batch = super().draw(draw)
        return replace(batch, inputs=batch.inputs - batch.inputs.mean(1, keepdim=True))


class Constant(Good):
    def draw(self, draw):
        batch = super().draw(draw)
        return replace(batch, inputs=torch.ones_like(batch.inputs))


class Overflowing(Good):
    """Inputs go on after the end of a sequence."""

    def draw(self, draw):
        batch = super().draw(draw)
        lengths = (batch.lengths - 1).clamp(min=1)
        return replace(batch, lengths=lengths, output_steps=(lengths - 1).unsqueeze(0))


class Single(Good):
    """Data of float64 are other data."""

    def draw(self, draw):
        batch = super().draw(draw)
        return replace(batch, inputs=batch.inputs * (2 if draw.dtype == torch.float64 else 1))


class Together(Good):
    """Takes the update of the first replica for all."""

    def draw(self, draw):
        return super().draw(replace(draw, update=draw.update if isinstance(draw.update, int) else draw.update[0]))


class Boasting(Good):
    baseline_loss = 1 / 6


class Lenient(Good):
    baseline_error_rate = 0.5


class Trusting(Good):
    def misses(self, outputs, batch):
        return (outputs - batch.targets).abs()[0, :, :, 0] > 0.04


class Impossible(Good):
    def misses(self, outputs, batch):
        return ~((outputs - batch.targets).abs()[0, :, :, 0] < 0)


class Halved(Loss):
    def values(self, outputs, targets):
        return (outputs - targets).square().sum(-1)

    def gradient(self, outputs, targets):
        return outputs - targets


class Slow(Good):
    loss = Halved()


TASKS = {
    Unrepeatable: "a batch can be drawn again",
    Centred: "a row is the same in any batch",
    Mixing: "a replica draws as if alone",
    Constant: "seed, update and row change the data",
    Overflowing: "inputs and outputs end with the sequence",
    Single: "float32 data are the float64 data",
    Together: "updates can be drawn together",
    Boasting: "the constant predictor scores as claimed",
    Lenient: "the constant predictor scores as claimed",
    Trusting: "NaN is a miss",
    Impossible: "exact answers are hits",
    Slow: "the loss has its derivatives",
}


class Plain(Cell):
    def step_layout(self):
        n = self.hidden_size
        return {"W": Parameter((n, n), "recurrent"), "U": Parameter((n, self.input_size), "input")}

    def step(self, parameters, state, inputs):
        return (torch.tanh(state[0] @ parameters["W"].mT + inputs @ parameters["U"].mT),)


class Averaging(Plain):
    """Sequences depend on each other."""

    def step(self, parameters, state, inputs):
        (hidden,) = super().step(parameters, state, inputs)
        return (hidden - hidden.mean(1, keepdim=True),)


class Sharing(Plain):
    """Replicas depend on each other."""

    def step(self, parameters, state, inputs):
        (hidden,) = super().step(parameters, state, inputs)
        return (hidden + parameters["U"].mean(),)


class InPlace(Plain):
    def step(self, parameters, state, inputs):
        inputs.mul_(1.5)
        return super().step(parameters, state, inputs)


class Detached(Plain):
    """Its Jacobians are wrong."""

    def state_jacobians(self, theta, states, inputs):
        return 2 * super().state_jacobians(theta, states, inputs)


class Coarse(Plain):
    """Rounds in float32."""

    def step(self, parameters, state, inputs):
        (hidden,) = super().step(parameters, state, inputs)
        return ((hidden * 100).round() / 100 if hidden.dtype == torch.float32 else hidden,)


MODELS = {
    Averaging: "sequences do not mix",
    Sharing: "a replica computes as if alone",
    InPlace: "a step changes nothing in place",
    Detached: "state_jacobians are those of autograd",
    Coarse: "float32 follows float64",
}


@dataclass(frozen=True, kw_only=True)
class Careless(IdentityInit):
    """Draws from torch's own generator."""

    def recurrent_block(self, generator, hidden_size):
        return torch.randn(hidden_size, hidden_size, dtype=torch.float64)


@dataclass(frozen=True, kw_only=True)
class Infinite(IdentityInit):
    def recurrent_block(self, generator, hidden_size):
        return super().recurrent_block(generator, hidden_size) / 0


INITS = {
    Careless: "a seed decides the parameters",
    Infinite: "parameters have their shapes and are finite",
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Global(Sgd):
    """Normalizes by the gradients of all replicas."""

    def step(self, gradient, theta, state, update):
        return super().step(gradient / gradient.norm(), theta, state, update)


@dataclass(frozen=True, eq=False, kw_only=True)
class Hidden(Sgd):
    """Keeps something outside its state."""

    kept: list[Any] = field(default_factory=list)

    def step(self, gradient, theta, state, update):
        self.kept.append(gradient)
        return super().step(gradient * len(self.kept), theta, state, update)


@dataclass(frozen=True, eq=False, kw_only=True)
class Overwriting(Sgd):
    def step(self, gradient, theta, state, update):
        state["velocity"].add_(gradient)
        return super().step(gradient, theta, state, update)


@dataclass(frozen=True, eq=False, kw_only=True)
class Growing(Sgd):
    def step(self, gradient, theta, state, update):
        step, after = super().step(gradient, theta, state, update)
        return step, {**after, f"gradient_{update}": gradient}


@dataclass(frozen=True, eq=False, kw_only=True)
class Miscounting(Sgd):
    """Counts the sequences of all replicas for each."""

    def update(self, theta, state, update, draw):
        result = super().update(theta, state, update, draw)
        return replace(result, sequences=result.sequences * len(theta))


OPTIMIZERS = {
    Miscounting: "a replica descends as if alone",
    Global: "a replica descends as if alone",
    Hidden: "a run can be repeated",
    Overwriting: "an update changes nothing in place",
    Growing: "the state is tensors by replica",
}


class Sized(Probe):
    metrics = (Metric("own/size", "size of the last state", "1", "-"),)

    def capture(self, view):
        states = view.update.gradient.trace.states(1)[-1]
        return lambda: Reading({"own/size": states.flatten(1).norm(dim=1)})


class Undeclared(Sized):
    metrics = (Metric("own/other", "another", "1", "-"),)


class Late(Sized):
    """Reads the states only when the next update may have overwritten them."""

    def capture(self, view):
        trace = view.update.gradient.trace
        sweeps = trace._sweeps[0][0]
        return lambda: Reading({"own/size": sweeps.states(1)[-1].flatten(1).norm(dim=1)})


class Ranked(Sized):
    def capture(self, view):
        return lambda: Reading({"own/size": view.theta.norm(dim=1) / view.theta.norm()})


PROBES = {
    Undeclared: "numbers have their columns",
    Late: "a reading can wait for the next update",
    Ranked: "a replica is read as if alone",
}
