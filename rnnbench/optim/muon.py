"""Muon for the recurrent matrices, and AdamW for all other parameters."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override


class Muon(torch.optim.Optimizer):
    """Steps the recurrent matrices by `torch.optim.Muon` and all other parameters by `torch.optim.AdamW`.

    As its authors advise, the weights of inputs and readout, and all vectors, are left to AdamW. The recurrent weights
    of a gated net, which are several square blocks on top of each other, are one matrix.

    Source: Jordan et al. (2024), https://kellerjordan.github.io/posts/muon.
    """

    def __init__(
        self,
        named_parameters: Sequence[tuple[str, Tensor]],
        *,
        lr: float,
        momentum: float,
        ns_steps: int,
        weight_decay: float,
        adamw_lr: float,
        adamw_betas: Sequence[float],
        adamw_eps: float,
        recurrent: Sequence[str],
    ) -> None:
        """Make both optimizers.

        Args:
            named_parameters: Pairs of name and parameter.
            lr: Learning rate of Muon.
            momentum: Nesterov momentum of Muon.
            ns_steps: Newton-Schulz iterations of Muon.
            weight_decay: Decoupled weight decay of both.
            adamw_lr: Learning rate of AdamW.
            adamw_betas: Decay rates of AdamW's means.
            adamw_eps: Number that AdamW adds to the denominator.
            recurrent: Names of the recurrent parameters, which Muon steps.
        """
        ours = [parameter for name, parameter in named_parameters if name in recurrent]
        others = [parameter for name, parameter in named_parameters if name not in recurrent]
        self._parts = (
            torch.optim.Muon(ours, lr=lr, momentum=momentum, ns_steps=ns_steps, weight_decay=weight_decay),
            torch.optim.AdamW(
                others, lr=adamw_lr, betas=(adamw_betas[0], adamw_betas[1]), eps=adamw_eps, weight_decay=weight_decay
            ),
        )
        super().__init__([{"params": ours, "lr": lr}, {"params": others, "lr": adamw_lr}], {})
        # The two keep their state and their groups here, so that both are saved and changed as those of one optimizer.
        self.param_groups = [group for part in self._parts for group in part.param_groups]
        for part in self._parts:
            part.state = self.state

    @override
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Make one step from the gradients of the parameters."""
        for part in self._parts:
            part.step()  # type: ignore[no-untyped-call]
