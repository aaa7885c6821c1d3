"""Kernels on tensor cores that round as those of a chip: no less exact than the check on a chip asks for."""

import numpy as np
import pytest
import tensor_cores
import torch
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

from benchmarks.gpu_check.precision import SweepCase

CPU = torch.device("cpu")


@pytest.fixture
def on_tensor_cores(monkeypatch):
    """Have the interpreter multiply as they do; how many products there were."""
    calls = []

    def create_dot(self, a, b, d, input_precision, max_num_imprecise_acc):
        calls.append(a.data.shape)
        return TensorHandle(tensor_cores.multiply(a.data, b.data, d.data), d.dtype.scalar)

    monkeypatch.setattr(InterpreterBuilder, "create_dot", create_dot)
    return calls


def test_parts_are_nearest_and_sums_are_cut_off():
    x = np.float32(1 + 2**-11 + 2**-20)
    assert tensor_cores.to_tf32(x) == 1 + 2**-10  # one of the ten bits
    assert tensor_cores.to_tf32(-np.float32(1 + 2**-12)) == -1
    one, tiny = np.ones((1, 1), np.float32), np.full((1, 1), 2**-24 + 2**-25, np.float32)
    assert tensor_cores.accumulate(one, one, tiny) == 1  # to the nearest it would be 1 + 2^-23
    assert tensor_cores.multiply(one, tiny, one) == 1 + 2**-23  # the last sum is no tensor core's
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(4, 8)).astype(np.float32), generator.normal(size=(8, 3)).astype(np.float32)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    assert np.allclose(tensor_cores.multiply(a, b, np.zeros((4, 3), np.float32)), exact, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    "case",
    [
        SweepCase(num_replicas=1, num_steps=60, hidden_size=100, num_sequences=5),
        SweepCase(num_replicas=1, num_steps=40, hidden_size=128, num_sequences=3, radius=1.2, num_outputs=None),
        SweepCase(
            num_replicas=1, num_steps=40, hidden_size=64, num_sequences=3, nonlinearity="linear", is_damped=False
        ),
        SweepCase(num_replicas=1, num_steps=40, hidden_size=32, num_sequences=3, nonlinearity="relu"),
        SweepCase(num_replicas=1, num_steps=30, hidden_size=200, num_sequences=3),
    ],
    ids=lambda case: f"n={case.hidden_size}",
)
def test_errors_are_at_most_twice_those_of_torch(case, on_tensor_cores):
    """One long sum for each product would make more. What is printed is the table of docs/gpu.md."""
    found = case.compare(CPU)
    assert on_tensor_cores
    for name in ("states", "gradient", "product"):
        times = found[name] / found[f"{name}, torch"]
        print(f"n = {case.hidden_size}, {name}: {found[name]:.1e}, {times:.1f} of torch's")
    assert found["ok"], found
