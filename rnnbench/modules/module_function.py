"""A torch module as a function of the vector of its trainable parameters.

Letters: P trainable parameters. A vector is a row of theta, (1, P): a module is one replica.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves

from rnnbench.modules.arguments import check_dtype, check_module


class ModuleFunction:
    """The map from trainable parameters to what a module returns.

    A parameter that several parts of the module share counts once. Calls work on copies of the buffers, so the module's
    own never change.

    Args:
        module: The module; it stays in the mode (training or evaluation) in which it is.

    Attributes:
        module: The module.
        parameters: The trainable parameters by name.
        dtype: Their floating-point type.
        device: Their device.
        sizes: Number of elements of each; they sum to P.

    Raises:
        ValueError: The module is none, or has no trainable parameters; or they are not initialized, lie on several
            devices, or are not all float32 or all float64.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        check_module(module)
        self.module = module
        self.parameters = {name: each for name, each in module.named_parameters() if each.requires_grad}
        if not self.parameters:
            raise ValueError("the module has no trainable parameters: none of its parameters requires a gradient")
        for name, parameter in self.parameters.items():
            if is_lazy(parameter):
                raise ValueError(f"{name} is not initialized: call the module once on a batch before")
        self.dtype: torch.dtype = self._common("dtype")
        self.device: torch.device = self._common("device")
        check_dtype(self.parameters.values())
        self.sizes = [each.numel() for each in self.parameters.values()]
        self._buffers = {name: buffer.detach().clone() for name, buffer in module.named_buffers()}

    def _common(self, attribute: str) -> Any:
        """The value of an attribute that all trainable parameters must share."""
        first, *others = self.parameters
        value = getattr(self.parameters[first], attribute)
        for name in others:
            other = getattr(self.parameters[name], attribute)
            if other != value:
                raise ValueError(
                    f"all trainable parameters must have one {attribute}: {first} has {value}, {name} {other}"
                )
        return value

    @property
    def layout(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each trainable parameter."""
        return {name: tuple(each.shape) for name, each in self.parameters.items()}

    def theta(self) -> Tensor:
        """The trainable parameters, (1, P), a copy."""
        return flat([each.detach() for each in self.parameters.values()])

    def write(self, theta: Tensor) -> None:
        """Set the module's trainable parameters to theta, (1, P)."""
        with torch.no_grad():
            for parameter, value in zip(self.parameters.values(), self.views(theta).values(), strict=True):
                parameter.copy_(value)

    def views(self, theta: Tensor) -> dict[str, Tensor]:
        """Named views of theta (1, P) in the shapes of the parameters."""
        pieces = torch.split(theta[0], self.sizes)
        named = zip(self.parameters.items(), pieces, strict=True)
        return {name: piece.view(parameter.shape) for (name, parameter), piece in named}

    def __call__(self, parameters: Mapping[str, Tensor], inputs: Any) -> Any:
        """What the module returns for `inputs`, its only argument, with these parameters."""
        return torch.func.functional_call(self.module, ({**parameters}, self._buffers), (inputs,))

    @contextmanager
    def deterministic(self) -> Iterator[None]:
        """Check that calls of the module inside neither change a buffer nor draw random numbers.

        Raises:
            ValueError: One does, so the loss would be another function at every call.
        """
        versions = {name: buffer._version for name, buffer in self._buffers.items()}
        random = self._random_states()
        yield
        changed = [name for name, buffer in self._buffers.items() if buffer._version != versions[name]]
        if changed:
            raise ValueError(
                f"a call of the module changes its buffer {changed[0]}, as batch normalization does in training mode: "
                "call eval() on that layer, or on the module"
            )
        if not all(map(torch.equal, random, self._random_states())):
            raise ValueError(
                "a call of the module draws random numbers, as dropout does in training mode: call eval() on that "
                "layer, or on the module"
            )

    def _random_states(self) -> Sequence[Tensor]:
        """States of the random generators that the module may use."""
        states = [torch.get_rng_state()]
        if self.device.type == "cuda":
            states.append(torch.cuda.get_rng_state(self.device))
        return states


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of any shapes as one row, (1, P)."""
    return torch.cat([each.reshape(-1) for each in tensors]).unsqueeze(0)


def check_batch(name: str, batch: Any, device: torch.device) -> tuple[Any, Any]:
    """Check that a batch is a pair of inputs and targets on the module's device.

    Args:
        name: Name of the batch, for the message.
        batch: The batch.
        device: The module's device.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise ValueError(f"{name} must be a pair (inputs, targets), got {type(batch).__name__}")
    inputs, targets = batch
    for part, tree in (("inputs", inputs), ("targets", targets)):
        for leaf in tree_leaves(tree):
            if isinstance(leaf, Tensor) and leaf.dim() > 0 and leaf.device != device:
                raise ValueError(f"the {part} of {name} are on {leaf.device}, but the module is on {device}")
    return inputs, targets
