"""Every way of `python -m benchmarks gpu` that torch's own operations make runs on a device, and agrees with ours."""

from benchmarks import gpu
from rnnbench.bench.options import Shape

ON_A_GPU_ALONE = (
    "torch.compile",
    "FlashRNN",
    "torch.nn.LSTM",
    "torch.nn.GRU",
    "lstm, rnnbench, fused",
    "gru, rnnbench, fused",
)
"""Kernels that torch has for no device but its own, and what compiles for minutes."""


def test_every_way_is_timed(device, monkeypatch):
    monkeypatch.setattr(gpu, "ROUNDS", 2)
    monkeypatch.setattr(gpu, "SECONDS", 0.0)
    measures = gpu.measurements(Shape(2, 3, 4, 5), device)
    chosen = [name for name in measures if "JAX" not in name and not any(part in name for part in ON_A_GPU_ALONE)]
    assert len(chosen) == 15
    assert all(measures[name]()["ms"] > 0 for name in chosen)
