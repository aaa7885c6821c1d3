"""The packaged models in torch's layout: as the state_dict of `rnnbench.modules.recurrent_net.RecurrentNet`.

Letters: n hidden units, d inputs, o outputs, g gates (1 in the simple recurrent net).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rnnbench.models import latch
from rnnbench.models.base import INITIAL_STATE, Model, Parameters
from rnnbench.models.gated_cell import GatedCell
from rnnbench.models.gru import Gru
from rnnbench.models.latch import Latch
from rnnbench.models.lstm import Lstm
from rnnbench.models.simple_rnn import SimpleRnn

ARGUMENTS, STATE_DICT = "arguments", "state_dict"
"""Entries of a file of `rnnbench export`: arguments of `RecurrentNet`, and its state_dict."""

CELLS: Mapping[type[Model], str] = {SimpleRnn: "rnn", Latch: "rnn", Lstm: "lstm", Gru: "gru"}
"""Model -> `RecurrentNet`'s cell. Subclasses are not included, since they may have another step."""

NUM_GATES = {"rnn": 1, "gru": 3, "lstm": 4}

LAYER = ("rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.bias_ih_l0", "rnn.bias_hh_l0")
READOUT = {"readout.weight": "weight_out", "readout.bias": "bias_out"}
"""Name in the state_dict -> name in the model's layout."""


def arguments_of(model: Model) -> dict[str, Any] | None:
    """The arguments of the `RecurrentNet` that computes what a model computes; None: it is not a packaged model."""
    cell = CELLS.get(type(model))
    if cell is None:
        return None
    arguments: dict[str, Any] = {
        "cell": cell,
        "input_size": model.input_size,
        "hidden_size": model.hidden_size,
        "output_size": model.output_size,
    }
    if isinstance(model, SimpleRnn):
        arguments["nonlinearity"] = model.nonlinearity.name
    elif isinstance(model, Latch):
        names = {function: name for name, function in latch.NONLINEARITIES.items()}
        arguments["nonlinearity"] = names[model.nonlinearity]
    return arguments


def state_dict_of(model: Model, parameters: Parameters) -> dict[str, Tensor]:
    """The state_dict of a packaged model's `RecurrentNet`, new tensors.

    Args:
        model: A packaged model.
        parameters: Parameters of one replica by name, in the shapes of the model's layout.
    """
    if isinstance(model, GatedCell):
        layer = model.to_torch(parameters)
    else:
        weight_ih, no_bias = parameters["weight_ih"], torch.zeros_like(parameters["weight_hh"][0])
        if isinstance(model, Latch):  # its last inputs have the fixed weight 1
            weight_ih = torch.cat([weight_ih, torch.eye(model.hidden_size).to(weight_ih)], 1)
        layer = weight_ih, parameters["weight_hh"], parameters.get("bias", no_bias), no_bias
    state = {
        INITIAL_STATE: parameters[INITIAL_STATE].view(-1, model.hidden_size),
        **dict(zip(LAYER, layer, strict=True)),
    }
    state |= {name: parameters[own] for name, own in READOUT.items()}
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def parameters_of(model: Model, state_dict: Mapping[str, Any], nonlinearity: str | None = None) -> dict[str, Tensor]:
    """The parameters of a model from the state_dict of a `RecurrentNet`: the inverse of `state_dict_of`.

    Args:
        model: The model.
        state_dict: Entries by name; checked here.
        nonlinearity: Nonlinearity of the simple recurrent net; None: unknown.

    Returns:
        One replica's parameters by name, float64, in the shapes of the model's layout.

    Raises:
        ValueError: The model is not a packaged one, or the state_dict is not that of its `RecurrentNet`; the message
            continues a sentence whose subject is the state_dict.
    """
    expected = arguments_of(model)
    if expected is None:
        raise ValueError(f"cannot start {type(model).__name__}, which is not a model of rnnbench")
    state = _checked(state_dict)
    given = _arguments_in(state)
    if given["cell"] == expected["cell"] == "rnn" and nonlinearity is not None:
        given["nonlinearity"] = nonlinearity
    different = [name for name in given if given[name] != expected.get(name)]
    if different:
        theirs, ours = (", ".join(f"{name}={facts.get(name)}" for name in different) for facts in (given, expected))
        raise ValueError(f"holds a net with {theirs}, but the run needs {ours}")
    weight_ih, weight_hh, bias_ih, bias_hh = (state[name] for name in LAYER)
    own = {own: state[name] for name, own in READOUT.items()}
    own |= {"weight_ih": weight_ih, "weight_hh": weight_hh, INITIAL_STATE: state[INITIAL_STATE].flatten()}
    if isinstance(model, Latch):
        own["weight_ih"], fixed = weight_ih[:, : -model.hidden_size], weight_ih[:, -model.hidden_size :]
        if not torch.equal(fixed, torch.eye(model.hidden_size).to(fixed)) or (bias_ih + bias_hh).any():
            raise ValueError("has a bias, or weights other than 1 of the inputs that model=latch adds to its units")
    else:
        own |= biases_of(model, bias_ih, bias_hh)
    return {name: own[name] for name in model.layout}


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
    names = [INITIAL_STATE, *LAYER, *READOUT]
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


def _arguments_in(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The cell and the sizes of a state_dict, from the shapes of its tensors.

    Raises:
        ValueError: The shapes do not match each other; see `parameters_of`.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if len(shapes["readout.weight"]) == 2 and len(shapes[LAYER[0]]) == 2:
        (o, n), (_, d) = shapes["readout.weight"], shapes[LAYER[0]]
        for cell, g in NUM_GATES.items():
            parts = 2 if cell == "lstm" else 1
            layer = dict(zip(LAYER, [(g * n, d), (g * n, n), (g * n,), (g * n,)], strict=True))
            if shapes == {INITIAL_STATE: (parts, n), **layer, "readout.weight": (o, n), "readout.bias": (o,)}:
                return {"cell": cell, "input_size": d, "hidden_size": n, "output_size": o}
    listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    raise ValueError(f"has tensors whose shapes do not belong to one net: {listed}")
