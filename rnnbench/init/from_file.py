"""Initial parameters from a file: an exported net, or the state_dict of one.

The only part of the arithmetic that reads a file. It is read when a run starts; a resumed run does not need it.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.init.base import Initializer
from rnnbench.models.base import Model
from rnnbench.models.torch_layout import ARGUMENTS, STATE_DICT, parameters_of

EXPORT = "write the net of a run into a file first: rnnbench export RUN FILE"


@dataclass(frozen=True, kw_only=True)
class FromFile(Initializer):
    """The parameters in a file, the same for all replicas; nothing is drawn.

    Attributes:
        path: Path of a file that `rnnbench export` wrote, or of a state_dict of its net that torch.save wrote.
    """

    path: str

    @cached_property
    def _contents(self) -> dict[str, Any]:
        return read_net(self.path)  # once: what has been checked is what the run starts from

    @override
    def check(self, model: Model) -> None:
        self._parameters(model)

    @override
    def initial_parameters(self, generator: torch.Generator, model: Model) -> dict[str, Tensor]:
        return self._parameters(model)

    def _parameters(self, model: Model) -> dict[str, Tensor]:
        """The parameters of a model, float64.

        Raises:
            ValueError: The file cannot be read, or holds the net of another model.
        """
        try:
            contents = self._contents
            nonlinearity = contents[ARGUMENTS].get("nonlinearity")
            return parameters_of(model, contents[STATE_DICT], nonlinearity)
        except ValueError as error:
            raise ValueError(f"init.path: {self.path} {error}") from error


def read_net(path: str) -> dict[str, Any]:
    """Read a file without running any code in it.

    Args:
        path: Path of the file; ~ is the home folder.

    Returns:
        The contents of an exported net; for a state_dict alone, with empty `ARGUMENTS`.

    Raises:
        ValueError: The file is missing, cannot be read, or holds something else; the message continues a sentence
            whose subject is the path.
    """
    file = Path(path).expanduser()
    if file.is_dir():
        raise ValueError(f"is a folder; {EXPORT}")
    if not file.is_file():
        raise ValueError("is not a file" if file.exists() else "does not exist")
    try:
        contents = torch.load(file, weights_only=True, map_location="cpu")
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    except Exception as error:  # torch.load raises errors of many types
        raise ValueError(f"is not a file of torch.save with a net or its state_dict; {EXPORT}") from error
    if not isinstance(contents, dict) or not contents:
        raise ValueError(f"holds neither a net nor its state_dict; {EXPORT}")
    if "theta" in contents:
        raise ValueError(f"is a checkpoint; {EXPORT}")
    if STATE_DICT not in contents:
        return {STATE_DICT: contents, ARGUMENTS: {}}
    if not isinstance(contents[STATE_DICT], dict) or not isinstance(contents.get(ARGUMENTS), dict):
        raise ValueError("is damaged: it has no state_dict, or no arguments")
    return contents
