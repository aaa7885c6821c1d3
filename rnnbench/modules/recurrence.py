"""Which part of a module is its recurrence, and whether it can be looked into."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.utils.rnn import PackedSequence
from torch.utils._pytree import tree_leaves

from rnnbench.modules.arguments import check_dtype, check_module
from rnnbench.modules.cell_recording import CellRecording
from rnnbench.modules.from_model import StepCell
from rnnbench.modules.layer_recording import LayerRecording
from rnnbench.modules.recording import Recording
from rnnbench.modules.recurrent_net import OtherRNN

LAYERS = (torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU, OtherRNN)
CELLS = (torch.nn.RNNCellBase, StepCell)


def recording_of(module: torch.nn.Module, recurrence: torch.nn.Module | None) -> Recording:
    """Return what records the recurrence of a module.

    Args:
        module: The module.
        recurrence: Its submodule that is the recurrence; None: the only one that is a layer or a cell of torch.nn.

    Raises:
        ValueError: The module is none; or there is no recurrence, or more than one, or it cannot be looked into.
    """
    check_module(module)
    names = {id(each): f"module.{name}" if name else "module" for name, each in module.named_modules()}
    if recurrence is None:
        recurrence = _only_one(module, names)
    elif id(recurrence) not in names:
        raise ValueError(
            f"recurrence={type(recurrence).__name__} is not part of the module: give one of its submodules"
        )
    name = names[id(recurrence)]
    _check(module, recurrence, name)
    if isinstance(recurrence, LAYERS):
        return LayerRecording(recurrence, name)
    return CellRecording(recurrence, name)


def _only_one(module: torch.nn.Module, names: dict[int, str]) -> torch.nn.Module:
    found = [each for each in module.modules() if isinstance(each, (*LAYERS, *CELLS))]
    if not found:
        raise ValueError(
            "the module has no torch.nn.RNN, LSTM, GRU, or cell of these: name the cell of your own loop, as in "
            "recurrence=module.cell; it must be a module that is called once for each step"
        )
    if len(found) > 1:
        listed = ", ".join(f"{names[id(each)]} ({type(each).__name__})" for each in found)
        raise ValueError(f"the module has {len(found)} recurrences: choose one, as in recurrence={listed}")
    return found[0]


def _check(module: torch.nn.Module, recurrence: torch.nn.Module, name: str) -> None:
    if isinstance(recurrence, LAYERS):
        if recurrence.bidirectional:
            raise ValueError(f"{name} is bidirectional: it has no single state that goes from step to step")
        if recurrence.proj_size:
            raise ValueError(f"{name} has projections (proj_size={recurrence.proj_size}), which are not supported")
        if recurrence.training and recurrence.dropout > 0 and recurrence.num_layers > 1:
            raise ValueError(
                f"{name} has dropout={recurrence.dropout:g} between its layers, which is random: call module.eval() "
                "before, or set it to 0"
            )
    check_dtype(recurrence.parameters())
    for each in recurrence.modules():
        if isinstance(each, _DropoutNd) and each.training and each.p > 0:
            raise ValueError(f"{name} contains dropout, which is random: call module.eval() before, or set p to 0")
    for each in module.modules():
        if isinstance(each, _BatchNorm) and each.training:
            raise ValueError(
                "the module has batch normalization in training mode, which mixes the sequences of a batch and changes "
                "its running means: call module.eval() before"
            )


def check_device(module: torch.nn.Module, inputs: Any) -> None:
    """Check that inputs are on the device of the module.

    Raises:
        ValueError: They are not.
    """
    devices = {tensor.device for tensor in [*module.parameters(), *module.buffers()]}
    tensors = [leaf.data if isinstance(leaf, PackedSequence) else leaf for leaf in tree_leaves(inputs)]
    for tensor in tensors:
        if isinstance(tensor, Tensor) and len(devices) == 1 and tensor.device not in devices:
            (device,) = devices
            raise ValueError(
                f"the inputs are on {tensor.device}, but the module is on {device}: use .to({str(device)!r})"
            )
