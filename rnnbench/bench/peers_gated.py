"""Gradients of the gated nets with torch.nn.LSTM and torch.nn.GRU.

Letters as in `rnnbench.bench.case`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rnnbench.bench.case import Case, Computation
from rnnbench.bench.peers_torch import total_loss
from rnnbench.models.base import INITIAL_STATE
from rnnbench.models.gated_cell import GatedCell


class TorchGated(torch.nn.Module):
    """One replica as torch's module, with a learned initial state and a readout; inputs (T, B, d)."""

    def __init__(self, case: Case, replica: int) -> None:
        """Copy a replica's parameters.

        Args:
            case: The problem, with a gated net.
            replica: Index of the replica.
        """
        super().__init__()
        model, dtype = gated(case), case.theta.dtype
        p = {name: value[replica : replica + 1] for name, value in model.parameters(case.theta).items()}
        self.initial_state = torch.nn.Parameter(p[INITIAL_STATE].view(-1, 1, 1, case.shape.units).clone())
        self.net = model.module(model.input_size, model.hidden_size, dtype=dtype)
        self.readout = torch.nn.Linear(model.hidden_size, model.output_size, dtype=dtype)
        names = (name for name, _ in self.net.named_parameters())
        self.net.load_state_dict(dict(zip(names, (x[0] for x in model.to_torch(p)), strict=True)))
        self.readout.load_state_dict({"weight": p["weight_out"][0], "bias": p["bias_out"][0]})

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the outputs at the last step, (B, o)."""
        state = self.initial_state.expand(-1, 1, inputs.shape[1], -1).contiguous()
        # Use the last h that the operation returns: selecting it from all states costs a GRU 1 to 3 % of its time.
        _, end = self.net(inputs, state[0] if len(state) == 1 else tuple(state))
        outputs: Tensor = self.readout((end if len(state) == 1 else end[0])[0])
        return outputs


def gated(case: Case) -> GatedCell:
    """Return the net of a case, which must be a gated one."""
    assert isinstance(case.model, GatedCell)
    return case.model


def torch_gated(case: Case) -> Computation:
    """Prepare the gradient by torch.nn.LSTM or torch.nn.GRU, one replica at a time."""
    nets = [TorchGated(case, replica).to(case.theta.device) for replica in range(case.shape.replicas)]
    inputs = [one.contiguous() for one in case.batch.inputs.unbind(1)]

    def run() -> list[tuple[Tensor, ...]]:
        return [
            torch.autograd.grad(total_loss(net(x), y), list(net.parameters()))
            for net, x, y in zip(nets, inputs, case.targets, strict=True)
        ]

    def rows(replicas: Sequence[Sequence[Tensor]]) -> Tensor:
        return torch.stack([_row(gated(case), one) for one in replicas])

    return Computation(run, rows)


def _row(model: GatedCell, parts: Sequence[Tensor]) -> Tensor:
    """Convert the gradients of a `TorchGated`, in the order of its parameters, to a row of theta, (P,)."""
    initial, *weights, weight_out, bias_out = (part.detach().unsqueeze(0) for part in parts)
    readout = {"weight_out": weight_out, "bias_out": bias_out}
    return model.flatten({**model.from_torch(weights), INITIAL_STATE: initial, **readout})
