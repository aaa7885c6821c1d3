"""FlashRNN's Elman kernels as a peer, if the package `flashrnn` can be imported: its heads are our replicas.

Its backend `cuda` alternates products and pointwise kernels for any size. `cuda_fused` runs a whole sequence in one
kernel, for heads of a multiple of 16 units. (Its Triton backend has no Elman net.) The first call compiles both with
nvcc.

Source: Pöppel, Beck and Hochreiter (2024), arXiv 2412.07752; flashrnn 1.0.8, Apache-2.0.

Letters as in `rnnbench.bench.case`.
"""

import importlib
from functools import cache

import torch
from torch import Tensor

from rnnbench.bench.case import Case, Computation
from rnnbench.bench.peers_torch import total_loss

BACKENDS = ("cuda", "cuda_fused")
FUSED_GRAIN = 16
"""`cuda_fused` accepts only multiples of this head size; other heads are padded with zeros."""


@cache
def import_error() -> str | None:
    """Return why FlashRNN cannot be imported; None: it can."""
    try:
        importlib.import_module("flashrnn")
    except Exception as error:  # on import it searches for compilers and libraries
        return f"{type(error).__name__}: {error}"
    return None


def flashrnn_gradient(case: Case, backend: str, dtype: torch.dtype = torch.bfloat16) -> Computation:
    """Prepare loss and gradient by FlashRNN; its interface requires precomputed products of the inputs.

    Args:
        case: The problem, with the tanh net.
        backend: Backend of FlashRNN.
        dtype: Data type of its kernels; products of the inputs and the readout use that of the case.
    """
    flashrnn = importlib.import_module("flashrnn").flashrnn
    theta, name = case.theta.clone().requires_grad_(), str(dtype).removeprefix("torch.")
    (_, _, num_sequences, _), units = case.batch.inputs.shape, case.shape.units
    missing = -units % FUSED_GRAIN if backend == "cuda_fused" else 0

    def filled(tensor: Tensor, num_sizes: int = 1) -> Tensor:
        """Pad the units of the last axes with zeros, and convert to FlashRNN's dtype."""
        return torch.nn.functional.pad(tensor, (0, missing) * num_sizes).to(dtype)

    def run() -> Tensor:
        p = case.model.parameters(theta)
        inputs = torch.matmul(case.batch.inputs, p["weight_ih"].mT)  # (T, R, B, n)
        start = p["initial_state"].expand(num_sequences, -1, -1)  # (B, R, n)
        states, _ = flashrnn(
            filled(inputs.permute(2, 0, 1, 3)).unsqueeze(2),  # (B, T, gates, heads, n)
            filled(p["weight_hh"], 2).unsqueeze(0),  # (gates, heads, n, n)
            filled(p["bias"]).unsqueeze(0),  # (gates, heads, n)
            states=filled(start)[None, :, None],  # (states, B, 1, heads, n)
            function="elman",
            backend=backend,
            dtype=name,
        )
        last = states[0, :, -1, :, :units].transpose(0, 1).to(theta.dtype)  # (R, B, n)
        loss = total_loss(case.model.readout(p, last), case.targets)
        return torch.autograd.grad(loss, theta)[0]

    # A bfloat16 result is not compared with float32.
    return Computation(run, (lambda gradient: gradient) if dtype == theta.dtype else None)
