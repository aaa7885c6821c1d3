"""Files of trained nets: written by `rnnbench export`, read by plain torch and by `init=from_file`."""

import inspect
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rnnbench.init.from_file import read_net
from rnnbench.models.base import Model, Parameters
from rnnbench.models.torch_layout import ARGUMENTS, STATE_DICT, arguments_of, layers_of, state_dict_of
from rnnbench.modules import recurrent_net
from rnnbench.records.whole_file import replacing

CODE, SOURCE = "code", "source"
"""Entries of the file besides those of `rnnbench.models.torch_layout`: Python code that loads it, and where the net is
from."""


def net_contents(model: Model, parameters: Parameters, source: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The contents of a file with the net of one replica.

    Args:
        model: The model.
        parameters: Parameters of one replica by name, in the shapes of the model's layout.
        source: Where the net is from: names and numbers.
        path: Path of the file, for the code in it.

    Raises:
        ValueError: The model has no form in plain torch, so its net needs its class.
    """
    arguments = arguments_of(model)
    if arguments is None:
        raise ValueError(
            f"{type(layers_of(model)[0]).__name__} has no form in plain torch, so its net needs its class: "
            "use rnnbench.load(RUN).module() in Python"
        )
    return {
        ARGUMENTS: arguments,
        STATE_DICT: state_dict_of(model, parameters),
        SOURCE: dict(source),
        CODE: loading_code(path, arguments),
    }


def loading_code(path: str, arguments: Mapping[str, Any]) -> str:
    """Python code that loads a net and runs it; it needs nothing but torch, and can be pasted into an interpreter.

    Args:
        path: Path of the file.
        arguments: Arguments of its `RecurrentNet`.
    """
    d, o = arguments["input_size"], arguments["output_size"]
    lines = (
        f"saved = torch.load({path!r}, weights_only=True)",
        f'net = RecurrentNet(**saved["{ARGUMENTS}"]).to(saved["{STATE_DICT}"]["readout.weight"].dtype)',
        f'net.load_state_dict(saved["{STATE_DICT}"])',
        "",
        f"inputs = torch.zeros(3, 50, {d}, dtype=net.initial_state.dtype)  # 3 sequences of 50 steps: (B, T, {d})",
        f"outputs = net(inputs)  # at every step: (B, T, {o}); at the last: outputs[:, -1]",
    )
    classes = re.sub(r'^""".*?"""\n+', "", inspect.getsource(recurrent_net), count=1, flags=re.DOTALL)
    classes = re.sub(r"\n\n+(?= )", "\n", classes)  # an empty line would end the class in an interpreter
    return f"{classes}\n\n" + "\n".join(lines) + "\n"


def save_net(path: Path, contents: Mapping[str, Any]) -> None:
    """Write a file atomically.

    Raises:
        RecordError: It cannot be written; an earlier file of this name is unchanged.
    """
    buffer = io.BytesIO()
    torch.save(dict(contents), buffer)
    with replacing(path) as file:
        file.write(buffer.getbuffer())


def is_exported(path: Path) -> bool:
    """Whether a file holds an exported net."""
    try:
        return CODE in read_net(str(path))
    except ValueError:
        return False
