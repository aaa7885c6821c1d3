"""Symbols as one-hot inputs."""

import numpy as np
import torch
from torch import Tensor

LONG_ROW = 64
"""On a CPU, rows of at least this length are zeros with a one written in; shorter rows are copied from the identity.

On one core, with cold caches, 224,000 rows of 8 take 0.23 ms when copied and 0.51 to 0.85 when written; 60,000 rows of
48 0.34 and 0.37 to 0.42; 32,000 rows of 102 0.44 and 0.33 to 0.35."""


def one_hot(symbols: Tensor, num_symbols: int, dtype: torch.dtype) -> Tensor:
    """One-hot rows: row k of the identity for symbol k.

    Args:
        symbols: int32 or int64, any shape, in [0, num_symbols]; num_symbols means no symbol and gives a row of zeros.
        num_symbols: Number of symbols.
        dtype: Type of the rows, float32 or float64.

    Returns:
        (*symbols.shape, num_symbols), new.
    """
    shape = (*symbols.shape, num_symbols)
    if symbols.device.type == "cpu":
        return torch.from_numpy(_rows(symbols.numpy(), num_symbols, torch.empty(0, dtype=dtype).numpy().dtype))
    rows = torch.zeros(shape, dtype=dtype, device=symbols.device)
    starts = torch.arange(0, rows.numel(), num_symbols, device=symbols.device)
    ones = starts + symbols.flatten().clamp(max=num_symbols - 1)
    rows.view(-1).index_copy_(0, ones, (symbols.flatten() < num_symbols).to(dtype))
    return rows


def _rows(symbols: np.ndarray, num_symbols: int, dtype: np.dtype) -> np.ndarray:
    """`one_hot` in numpy, which copies and writes short rows faster than torch."""
    if num_symbols < LONG_ROW:
        # mode="clip" skips the range check, which would double the time.
        return np.take(np.eye(num_symbols + 1, num_symbols, dtype=dtype), symbols, axis=0, mode="clip")
    rows = np.zeros((*symbols.shape, num_symbols), dtype=dtype)
    shown = symbols.ravel() < num_symbols
    ones = np.arange(0, rows.size, num_symbols)
    ones += symbols.ravel()
    rows.reshape(-1)[ones if shown.all() else ones[shown]] = 1
    return rows
