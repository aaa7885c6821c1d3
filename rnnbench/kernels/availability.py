"""Whether the kernels can run. This module imports without Triton."""

from importlib.util import find_spec

import torch

MAX_HIDDEN_SIZE = 256
MIN_COMPUTE_CAPABILITY = (8, 0)
"""Minimum compute capability of an NVIDIA GPU: the first with TF32 products."""


def unavailable_reason(hidden_size: int, device: torch.device, dtype: torch.dtype) -> str | None:
    """Why the kernels of the simple recurrent net cannot run, as a clause for a message; None if they can run.

    Args:
        hidden_size: n.
        device: Device of the kernels.
        dtype: Type of the states.
    """
    if hidden_size > MAX_HIDDEN_SIZE:
        return f"the kernels support up to {MAX_HIDDEN_SIZE} hidden units, not {hidden_size}"
    if dtype != torch.float32:
        return f"the kernels support float32, not {str(dtype).removeprefix('torch.')}"
    if find_spec("triton") is None:
        return "Triton is not installed"
    if device.type == "cuda":
        if torch.version.hip is not None:
            return "the kernels need NVIDIA's tensor cores"
        if torch.cuda.get_device_capability(device) < MIN_COMPUTE_CAPABILITY:
            return "the kernels need a GPU of compute capability 8.0 or above"
        return None
    from rnnbench.kernels.launch import is_interpreted

    return None if is_interpreted() else "the kernels need a GPU"
