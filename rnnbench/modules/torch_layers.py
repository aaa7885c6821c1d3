"""The recurrent layers and cells of torch.nn as models of this package."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rnnbench.models.base import Model
from rnnbench.models.gru import Gru
from rnnbench.models.lstm import Lstm
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.models.torch_layout import biases_of
from rnnbench.modules.recurrent_net import OtherRNN

Module = torch.nn.RNNBase | torch.nn.RNNCellBase


@dataclass(frozen=True)
class Layer:
    """A layer of torch.nn as a model with one replica.

    Attributes:
        model: The model; its initial state and its readout are not used.
        theta: Its parameters, (1, P), in the dtype and on the device of the layer.
        names: Names of the parameters of its step; those of the bias only if the layer has one. torch adds two biases,
            of which this package has the sum.
    """

    model: Model
    theta: Tensor
    names: Sequence[str]

    def on_host(self) -> "Layer":
        """Return a copy in float64, on the CPU."""
        return replace(self, theta=self.theta.to("cpu", torch.float64))


def layer_of(module: Module, index: int = 0) -> Layer:
    """Return a layer of torch.nn.RNN, LSTM or GRU, or a cell, as a model; its weights are copied.

    Args:
        module: The layers, or the cell.
        index: Number of the layer, from 0; 0 for a cell.
    """
    ending = f"_l{index}" if isinstance(module, torch.nn.RNNBase) else ""
    weight_ih, weight_hh = (_weight(module, f"{name}{ending}") for name in ("weight_ih", "weight_hh"))
    model = _model_of(module, weight_ih.shape[1])
    no_bias = torch.zeros_like(weight_hh[:, 0])
    bias_ih, bias_hh = no_bias, no_bias
    if module.bias:
        bias_ih, bias_hh = (_weight(module, f"{name}{ending}") for name in ("bias_ih", "bias_hh"))
    own = {name: weight_hh.new_zeros(parameter.shape) for name, parameter in model.layout.items()}  # of the readout too
    own |= {"weight_ih": weight_ih, "weight_hh": weight_hh, **biases_of(model, bias_ih, bias_hh)}
    names = [name for name in model.step_parameters if module.bias or not name.startswith("bias")]
    return Layer(model, model.flatten(own).unsqueeze(0), names)


def _weight(module: Module, name: str) -> Tensor:
    weight: Tensor = getattr(module, name)
    return weight.detach()


def _model_of(module: Module, input_size: int) -> Model:
    size = input_size, 1, module.hidden_size
    if isinstance(module, torch.nn.LSTM | torch.nn.LSTMCell):
        return Lstm(*size)
    if isinstance(module, torch.nn.GRU | torch.nn.GRUCell):
        return Gru(*size)
    if isinstance(module, OtherRNN):
        return SimpleRnn(*size, "sigmoid" if isinstance(module.function, torch.nn.Sigmoid) else "linear")
    assert isinstance(module, torch.nn.RNN | torch.nn.RNNCell)
    return SimpleRnn(*size, nonlinearity=module.nonlinearity)
