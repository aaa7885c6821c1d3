"""Muon for the recurrent matrices, and AdamW for all other parameters."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

NS_COEFFICIENTS = (3.4445, -4.775, 2.0315)
EPS = 1e-7
"""Coefficients of the Newton-Schulz iteration and smallest norm before it, as in `torch.optim.Muon`."""


class Muon(torch.optim.Optimizer):
    """Steps the recurrent matrices as `torch.optim.Muon` and all other parameters by `torch.optim.AdamW`.

    As its authors advise, the weights of inputs and readout, and all vectors, are left to AdamW. The recurrent weights
    of a gated net, which are several square blocks on top of each other, are one matrix. Matrices of several replicas
    may be stacked along a first axis; torch's own class takes single matrices, one after another.

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
        """Make both parts.

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
        self._adamw = torch.optim.AdamW(
            others, lr=adamw_lr, betas=(adamw_betas[0], adamw_betas[1]), eps=adamw_eps, weight_decay=weight_decay
        )
        keys = {"lr": lr, "momentum": momentum, "nesterov": True, "weight_decay": weight_decay}
        iteration = {"ns_coefficients": NS_COEFFICIENTS, "eps": EPS, "ns_steps": ns_steps}
        super().__init__([{"params": ours, **keys, **iteration}], {})  # the names of torch's class, as in a checkpoint
        # Both parts keep their state and their groups here, so that they are saved and changed as those of one.
        self.param_groups += self._adamw.param_groups
        self._adamw.state = self.state

    @override
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Make one step from the gradients of the parameters."""
        group = self.param_groups[0]
        for parameter in group["params"]:
            state = self.state[parameter]
            mean = state.setdefault("momentum_buffer", torch.zeros_like(parameter.grad))
            mean.lerp_(parameter.grad, 1 - group["momentum"])
            direction = orthogonalized(parameter.grad.lerp(mean, group["momentum"]), group["ns_steps"])
            rows, columns = parameter.shape[-2:]
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(direction, alpha=-group["lr"] * math.sqrt(max(1, rows / columns)))
        self._adamw.step()


def orthogonalized(matrices: Tensor, num_iterations: int) -> Tensor:
    """Matrices with the same singular vectors and singular values near 1, by a quintic Newton-Schulz iteration.

    Args:
        matrices: (rows, columns), or (k, rows, columns) of k replicas.
        num_iterations: Number of iterations.

    Returns:
        The same shape, in bfloat16, as the authors compute it.
    """
    a, b, c = NS_COEFFICIENTS
    x = matrices.reshape(-1, *matrices.shape[-2:]).bfloat16()
    is_tall = x.shape[1] > x.shape[2]
    x = x.mT if is_tall else x
    x = x / torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True).clamp(min=EPS)
    for _ in range(num_iterations):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if is_tall else x).reshape(matrices.shape)
