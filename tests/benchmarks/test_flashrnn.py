"""The peer by FlashRNN's interface; its kernels need a GPU, so a loop stands in for them."""

import sys
from types import ModuleType

import pytest
import torch

from benchmarks import gpu
from benchmarks.peers_flashrnn import BACKENDS, flashrnn_gradient, import_error
from rnnbench.bench.case import make_case
from rnnbench.bench.options import Shape
from rnnbench.bench.ours import our_gradient

SHAPE = Shape(3, 4, 6, 5)


@pytest.fixture
def calls(monkeypatch):
    """Put a module in the place of FlashRNN that does what its README says, and keeps the shape of what it got."""
    import_error.cache_clear()
    got = []

    def flashrnn(Wx, R, b, states, function, backend, dtype):  # its own names
        assert function == "elman"
        assert str(Wx.dtype) == str(R.dtype) == str(b.dtype) == str(states.dtype) == f"torch.{dtype}"
        got.append((backend, Wx.shape, R.shape, b.shape, states.shape))
        hidden, found = states[0, :, 0], []  # (B, heads, n)
        for inputs in Wx[:, :, 0].unbind(1):
            hidden = torch.tanh(torch.einsum("hdp,bhp->bhd", R[0], hidden) + inputs + b[0])
            found.append(hidden)
        return torch.stack(found, 1).unsqueeze(0), hidden[None, :, None]

    module = ModuleType("flashrnn")
    module.flashrnn = flashrnn
    monkeypatch.setitem(sys.modules, "flashrnn", module)
    yield got
    import_error.cache_clear()


@pytest.mark.parametrize("backend", BACKENDS)
def test_heads_are_replicas(backend, calls):
    case = make_case(SHAPE)
    ours, theirs = our_gradient(case, 1), flashrnn_gradient(case, backend, torch.float32)
    for _ in range(2):
        assert torch.allclose(theirs.rows(theirs.run()), ours.rows(ours.run()), rtol=1e-4, atol=1e-6)
    units = {"cuda": 5, "cuda_fused": 16}[backend]
    expected = (4, 6, 1, 3, units), (1, 3, units, units), (1, 3, units), (1, 4, 1, 3, units)
    assert calls[0] == (backend, *expected)


def test_bfloat16_is_not_compared(calls):
    made = flashrnn_gradient(make_case(SHAPE), "cuda")
    assert made.run().dtype == torch.float32
    assert made.rows is None


def test_it_is_timed_where_it_is_installed(calls, monkeypatch):
    monkeypatch.setattr(gpu, "ROUNDS", 2)
    monkeypatch.setattr(gpu, "SECONDS", 0.0)
    measures = gpu.measurements(SHAPE, torch.device("cpu"))
    names = [name for name in measures if "FlashRNN" in name]
    assert names == list(measures)[-2:]  # their compilation does not hold up the others
    assert all(measures[name]()["ms"] > 0 for name in names)


def test_else_a_line_says_why_not(announcer, monkeypatch):
    import_error.cache_clear()
    monkeypatch.setitem(sys.modules, "flashrnn", None)
    name, measure = list(gpu.measurements(SHAPE, torch.device("cpu")).items())[-1]
    report = gpu.report_gpu(SHAPE, {name: measure}, announcer)
    assert not report.rows
    said = f"Not measured: {name}: flashrnn cannot be imported: ModuleNotFoundError"
    others = report.notes[len(report.data["targets"]) :]
    assert [note.startswith(said) for note in others] == [True]
    import_error.cache_clear()
