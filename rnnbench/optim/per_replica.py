"""Values that may differ between replicas, with the operations that a run needs of them.

Letters: R replicas.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class PerReplica:
    """Base of dataclasses whose tensors have a first axis of length R."""

    _moved: dict[torch.device, Self] = field(default_factory=dict, init=False, repr=False)

    def tensors(self) -> dict[str, Tensor]:
        """The values that may differ between replicas, by name."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.init}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def replicas(self, index: Tensor) -> Self:
        """The same object for some replicas, by their rows, int64, or by a mask, (R,), bool."""
        return self._with({name: value[index.to(value.device)] for name, value in self.tensors().items()})

    def on(self, device: torch.device) -> Self:
        """The same object with its tensors on a device; cached, so that an update does not wait for the device."""
        if device not in self._moved:
            self._moved[device] = self._with({name: value.to(device) for name, value in self.tensors().items()})
        return self._moved[device]

    def _with(self, tensors: dict[str, Any]) -> Self:
        return replace(self, **tensors)
