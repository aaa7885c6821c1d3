"""Symbols as one-hot inputs."""

import numpy as np
import torch
from torch import Tensor


def one_hot(symbols: Tensor, num_symbols: int, dtype: torch.dtype) -> Tensor:
    """Rows of the identity.

    Args:
        symbols: int32 or int64, of any shape, in [0, num_symbols]; num_symbols itself stands for nothing, a row of
            zeros.
        num_symbols: How many there are.
        dtype: Of the rows, float32 or float64.

    Returns:
        (*symbols.shape, num_symbols), new.
    """
    rows = torch.eye(num_symbols + 1, num_symbols, dtype=dtype, device=symbols.device)
    if symbols.device.type != "cpu":
        return torch.nn.functional.embedding(symbols, rows)
    out = torch.empty((*symbols.shape, num_symbols), dtype=dtype)
    # A quarter of torch's time for 8 symbols; to check the range would take as long again.
    np.take(rows.numpy(), symbols.numpy(), axis=0, out=out.numpy(), mode="clip")
    return out
