import pytest
import torch

from rnnbench.tasks.one_hot import LONG_ROW, one_hot


@pytest.mark.parametrize("num_symbols", [2, 8, LONG_ROW - 1, LONG_ROW, 100])
@pytest.mark.parametrize("kind", [torch.int32, torch.int64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_row_is_the_symbols_and_zeros_for_none(num_symbols, kind, dtype):
    symbols = torch.randint(0, num_symbols + 1, (7, 3, 5), dtype=kind, generator=torch.Generator().manual_seed(1))
    symbols[0] = symbols[-1] = num_symbols
    rows = one_hot(symbols, num_symbols, dtype)
    assert rows.dtype == dtype
    assert torch.equal(rows, torch.nn.functional.one_hot(symbols.long(), num_symbols + 1)[..., :-1].to(dtype))


def test_symbols_of_any_strides():
    symbols = torch.arange(60).view(3, 4, 5).permute(2, 0, 1) % 9
    for num_symbols in (9, LONG_ROW):
        expected = torch.nn.functional.one_hot(symbols, num_symbols).float()
        assert torch.equal(one_hot(symbols, num_symbols, torch.float32), expected)
