"""Decompositions of batches: one bad matrix leaves the results of the others as they are, bit for bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnbench import linear_algebra

ALL = ["eigvals", "eig", "eigvalsh", "eigh", "svdvals", "svd", "qr", "spectral_norm", "frobenius_norm"]


def matrices(count, size, dtype=torch.float64, seed=0):
    """As many symmetric ones, so that every decomposition applies."""
    drawn = torch.randn(count, size, size, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return drawn + drawn.mT


def parts(result):
    return [result] if isinstance(result, torch.Tensor) else list(result)


@pytest.mark.parametrize("name", ALL)
@given(
    size=st.integers(1, 7),
    bad=st.sets(st.integers(0, 5)),
    value=st.sampled_from([torch.nan, torch.inf, -torch.inf]),
    place=st.integers(0, 48),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
@settings(max_examples=20)
def test_a_matrix_that_is_not_finite_is_left_out(name, size, bad, value, place, dtype):
    decompose, batch = getattr(linear_algebra, name), matrices(6, size, dtype)
    expected = parts(decompose(batch))
    for one in bad:
        batch[one].view(-1)[place % size**2] = value
    found = parts(decompose(batch))
    for result, before in zip(found, expected, strict=True):
        assert result.dtype == before.dtype
        for one in range(6):
            if one not in bad:
                assert torch.equal(result[one], before[one])
            elif name != "frobenius_norm":  # a sum of squares
                assert result[one].isnan().all()


@pytest.mark.parametrize("name", ALL)
def test_a_matrix_is_decomposed_as_it_is_alone(name):
    decompose, batch = getattr(linear_algebra, name), matrices(6, 5).view(2, 3, 5, 5)
    together, alone = parts(decompose(batch)), parts(decompose(batch[1, 2]))
    for whole, one in zip(together, alone, strict=True):
        torch.testing.assert_close(whole[1, 2], one, rtol=1e-10, atol=1e-10)  # MKL rounds by where a matrix lies


@pytest.mark.parametrize(("name", "plain"), [("eigvals", torch.linalg.eigvals), ("svdvals", torch.linalg.svdvals)])
def test_a_matrix_that_does_not_converge_is_left_out(name, plain, monkeypatch):
    batch = matrices(5, 4)

    def failing(given):
        if (given == batch[3]).flatten(-2).all(-1).any():
            raise torch.linalg.LinAlgError("the algorithm failed to converge")
        return plain(given)

    monkeypatch.setattr(torch.linalg, name, failing)
    batch[1, 2, 2] = torch.inf
    found = getattr(linear_algebra, name)(batch)
    assert found[[1, 3]].isnan().all()
    assert torch.equal(found[[0, 2, 4]], plain(batch[[0, 2, 4]]))
    assert getattr(linear_algebra, name)(batch[3]).isnan().all()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_largest_numbers_do_no_harm(name, dtype):
    batch = matrices(3, 5, dtype)
    expected = parts(getattr(linear_algebra, name)(batch))
    batch[0] = batch[0].sign() * torch.finfo(dtype).max
    found = parts(getattr(linear_algebra, name)(batch))
    assert all(torch.equal(result[1:], before[1:]) for result, before in zip(found, expected, strict=True))


def test_results_are_decompositions():
    batch = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    q, r = linear_algebra.qr(batch)
    left, values, right = linear_algebra.svd(batch)
    torch.testing.assert_close(q @ r, batch)
    torch.testing.assert_close((left * values.unsqueeze(1)) @ right, batch)
    torch.testing.assert_close(linear_algebra.spectral_norm(batch), values[:, 0])
    torch.testing.assert_close(linear_algebra.frobenius_norm(batch), values.square().sum(1).sqrt())
