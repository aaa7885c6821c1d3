"""Models in torch's layout: as the state_dict of `rnnbench.modules.recurrent_net.RecurrentNet`.

Letters: n hidden units, d inputs, o outputs, g gates (1 in the simple recurrent net), L layers, k parts of the state of
a layer (2 in an LSTM, otherwise 1).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rnnbench.models import latch
from rnnbench.models.base import INITIAL_STATE, Model, Parameters
from rnnbench.models.gated_cell import GatedCell
from rnnbench.models.gru import Gru
from rnnbench.models.latch import Latch
from rnnbench.models.lstm import Lstm
from rnnbench.models.orthogonal_rnn import OrthogonalRnn
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.models.stack import Stack

ARGUMENTS, STATE_DICT = "arguments", "state_dict"
"""Entries of a file of `rnnbench export`: arguments of `RecurrentNet`, and its state_dict."""

CELLS: Mapping[type[Model], str] = {
    SimpleRnn: "rnn",
    OrthogonalRnn: "rnn",
    Latch: "rnn",
    Lstm: "lstm",
    Gru: "gru",
}
"""Model -> `RecurrentNet`'s cell. Subclasses are not included, since they may have another step."""

NUM_GATES = {"rnn": 1, "gru": 3, "lstm": 4}

LAYER = ("rnn.weight_ih_l", "rnn.weight_hh_l", "rnn.bias_ih_l", "rnn.bias_hh_l")
"""Names in the state_dict, without the number of the layer at their ends."""

READOUT = {"readout.weight": "weight_out", "readout.bias": "bias_out"}
"""Name in the state_dict -> name in the model's layout."""


def layers_of(model: Model) -> Sequence[Model]:
    """The layers of a model, the lowest first."""
    return model.layers if isinstance(model, Stack) else (model,)


def arguments_of(model: Model) -> dict[str, Any] | None:
    """The arguments of the `RecurrentNet` that computes what a model computes; None: there is none."""
    layers = layers_of(model)
    cell = CELLS.get(type(layers[0]))
    if cell is None:
        return None
    arguments: dict[str, Any] = {
        "cell": cell,
        "input_size": model.input_size,
        "hidden_size": model.hidden_size,
        "output_size": model.output_size,
        "num_layers": len(layers),
    }
    if isinstance(layers[0], SimpleRnn | OrthogonalRnn):
        arguments["nonlinearity"] = layers[0].nonlinearity.name
    elif isinstance(layers[0], Latch):
        names = {function: name for name, function in latch.NONLINEARITIES.items()}
        arguments["nonlinearity"] = names[layers[0].nonlinearity]
    return arguments


def state_dict_of(model: Model, parameters: Parameters) -> dict[str, Tensor]:
    """The state_dict of a model's `RecurrentNet`, new tensors.

    Args:
        model: A model that has a `RecurrentNet`.
        parameters: Parameters of one replica by name, in the shapes of the model's layout.
    """
    layers = layers_of(model)
    rows = parameters[INITIAL_STATE].view(len(layers), -1, model.hidden_size)  # (L, k, n), the top layer first
    state = {INITIAL_STATE: rows.flip(0).transpose(0, 1).flatten(0, 1)}  # h_0 of each layer, c_0 of each
    for number, layer in enumerate(layers):
        own = model.of_layer(parameters, number) if isinstance(model, Stack) else parameters
        state |= dict(zip(_names(number), _to_torch(layer, own), strict=True))
    state |= {name: parameters[own] for name, own in READOUT.items()}
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def _names(number: int) -> list[str]:
    """Names of a layer's tensors in the state_dict; the lowest layer has number 0."""
    return [f"{name}{number}" for name in LAYER]


def _to_torch(layer: Model, parameters: Parameters) -> Sequence[Tensor]:
    """Tensors of a layer in the order of `LAYER`."""
    if isinstance(layer, GatedCell):
        return layer.to_torch(parameters)
    if isinstance(layer, OrthogonalRnn):  # torch's net has the matrix itself
        one_replica = {name: tensor.unsqueeze(0) for name, tensor in parameters.items()}
        parameters = {name: tensor[0] for name, tensor in layer.effective_parameters(one_replica).items()}
    weight_ih, no_bias = parameters["weight_ih"], torch.zeros_like(parameters["weight_hh"][0])
    if isinstance(layer, Latch):  # its last inputs have the fixed weight 1
        weight_ih = torch.cat([weight_ih, torch.eye(layer.hidden_size).to(weight_ih)], 1)
    return weight_ih, parameters["weight_hh"], parameters.get("bias", no_bias), no_bias


def parameters_of(model: Model, state_dict: Mapping[str, Any], nonlinearity: str | None = None) -> dict[str, Tensor]:
    """The parameters of a model from the state_dict of a `RecurrentNet`: the inverse of `state_dict_of`.

    Args:
        model: The model.
        state_dict: Entries by name; checked here.
        nonlinearity: Nonlinearity of the simple recurrent net; None: unknown.

    Returns:
        One replica's parameters by name, float64, in the shapes of the model's layout.

    Raises:
        ValueError: The model cannot be made from one, or the state_dict is not that of its `RecurrentNet`; the message
            continues a sentence whose subject is the state_dict.
    """
    expected = arguments_of(model)
    layers = layers_of(model)
    if expected is None:
        raise ValueError(f"cannot start {type(layers[0]).__name__}, which has no form in plain torch")
    if isinstance(layers[0], OrthogonalRnn):
        raise ValueError("cannot start model=orthogonal_rnn, since its recurrent matrix is a function of another one")
    state = _checked(state_dict)
    given = _arguments_in(state)
    if given["cell"] == expected["cell"] == "rnn" and nonlinearity is not None:
        given["nonlinearity"] = nonlinearity
    different = [name for name in given if given[name] != expected.get(name)]
    if different:
        theirs, ours = (", ".join(f"{name}={facts.get(name)}" for name in different) for facts in (given, expected))
        raise ValueError(f"holds a net with {theirs}, but the run needs {ours}")
    own = {own: state[name] for name, own in READOUT.items()}
    rows = state[INITIAL_STATE].view(-1, len(layers), model.hidden_size)  # (k, L, n)
    own[INITIAL_STATE] = rows.transpose(0, 1).flip(0).flatten()
    for number, layer in enumerate(layers):
        ending = f"_l{number}" if isinstance(model, Stack) else ""
        tensors = _from_torch(layer, *(state[name] for name in _names(number)))
        own |= {f"{name}{ending}": tensor for name, tensor in tensors.items()}
    return {name: own[name] for name in model.layout}


def _from_torch(
    layer: Model, weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor
) -> dict[str, Tensor]:
    """The parameters of a layer's step by name: the inverse of `_to_torch`.

    Raises:
        ValueError: The layer is a latch, whose tensors must be those that it has; see `parameters_of`.
    """
    if not isinstance(layer, Latch):
        return {"weight_ih": weight_ih, "weight_hh": weight_hh, **biases_of(layer, bias_ih, bias_hh)}
    weight_ih, fixed = weight_ih[:, : -layer.hidden_size], weight_ih[:, -layer.hidden_size :]
    if not torch.equal(fixed, torch.eye(layer.hidden_size).to(fixed)) or (bias_ih + bias_hh).any():
        raise ValueError("has a bias, or weights other than 1 of the inputs that model=latch adds to its units")
    return {"weight_ih": weight_ih, "weight_hh": weight_hh}


def biases_of(model: Model, bias_ih: Tensor, bias_hh: Tensor) -> dict[str, Tensor]:
    """The biases of a step of SimpleRnn, Lstm or Gru by name, from torch's two, (g n,) each."""
    if not isinstance(model, Gru):
        return {"bias": bias_ih + bias_hh}
    # The reset gate scales the last block of bias_hh; of the other blocks only the sum of both biases matters.
    sums, bias_hn = bias_hh[: -model.hidden_size], bias_hh[-model.hidden_size :]
    return {"bias": bias_ih + torch.nn.functional.pad(sums, (0, model.hidden_size)), "bias_hn": bias_hn}


def _checked(state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    """The entries of a state_dict as float64, if they have the right names and are finite tensors.

    Raises:
        ValueError: They are not; see `parameters_of`.
    """
    layers = [name for number in range(_num_layers(state_dict)) for name in _names(number)]
    names = [INITIAL_STATE, *layers, *READOUT]
    if set(state_dict) != set(names):
        wrong = next((name for name in names if name not in state_dict), None)
        what = f"has no entry {wrong}" if wrong else f"has the entry {next(iter(set(state_dict) - set(names)))!r}"
        raise ValueError(f"{what}; the state_dict of an exported net has {', '.join(names)}")
    for name in names:
        entry = state_dict[name]
        if not isinstance(entry, Tensor) or not entry.is_floating_point() or entry.layout != torch.strided:
            raise ValueError(f"has no floating-point tensor as {name}")
        if not entry.isfinite().all():
            raise ValueError(f"has numbers in {name} that are not finite")
    return {name: state_dict[name].detach().cpu().double() for name in names}


def _num_layers(state_dict: Mapping[str, Any]) -> int:
    """The number of layers, at least 1, from the names of a state_dict."""
    return max(1, sum(str(name).startswith(LAYER[0]) for name in state_dict))


def _arguments_in(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The cell and the sizes of a state_dict, from the shapes of its tensors.

    Raises:
        ValueError: The shapes do not match each other; see `parameters_of`.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    first, num_layers = shapes[_names(0)[0]], _num_layers(state)
    if len(shapes["readout.weight"]) == 2 and len(first) == 2:
        (o, n), (_, d) = shapes["readout.weight"], first
        for cell, g in NUM_GATES.items():
            parts = 2 if cell == "lstm" else 1
            net = {INITIAL_STATE: (parts * num_layers, n), "readout.weight": (o, n), "readout.bias": (o,)}
            for number in range(num_layers):
                sizes = [(g * n, n if number else d), (g * n, n), (g * n,), (g * n,)]
                net |= dict(zip(_names(number), sizes, strict=True))
            if shapes == net:
                arguments = {"cell": cell, "input_size": d, "hidden_size": n, "output_size": o}
                return {**arguments, "num_layers": num_layers}
    listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    raise ValueError(f"has tensors whose shapes do not belong to one net: {listed}")
