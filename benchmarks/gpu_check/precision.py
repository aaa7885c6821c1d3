"""Errors of the kernels compared with torch in float64, for sizes and lengths of all kinds.

Letters as in `rnnbench.models.base`.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu_check.stage import Stage
from rnnbench.losses import LOSSES
from rnnbench.models.base import BlockShape, Model
from rnnbench.models.gru import Gru
from rnnbench.models.lstm import Lstm
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.tasks.base import Batch

OUTPUT_SIZE = 2

TIMES_TORCH, ROUNDINGS = 2, 8
"""An error may be twice that of torch's float32, plus some roundings, since torch's error can be zero by chance."""

LARGEST_ERROR = 1e-5
"""Largest error relative to the largest entry, for recurrent weights with a spectral radius of at most about 1.

Torch's own error may be larger where everything cancels, as in a product of a net of one unit.
"""

OTHER_TILES = ((16, 4), (32, 8), (64, 8))
"""Tiles of `rnnbench.kernels.launch.TILES` that are not the default of the cases."""


@dataclass(frozen=True)
class SweepCase:
    """A random net on random sequences.

    Attributes:
        num_replicas: r.
        num_sequences: b.
        num_steps: T.
        hidden_size: n.
        input_size: d.
        net: "rnn", "lstm" or "gru".
        nonlinearity: Name of the nonlinearity of the simple recurrent net.
        num_outputs: S; the steps of the outputs are drawn for each sequence, and the last one is its end. None: one
            output at every step.
        is_damped: Whether the product has structural damping.
        radius: Approximate spectral radius of the recurrent weights.
        tile: Tile of the kernels: rows and warps.
        seed: Seed of all random numbers.
    """

    num_replicas: int = 2
    num_sequences: int = 3
    num_steps: int = 4
    hidden_size: int = 5
    input_size: int = 2
    net: str = "rnn"
    nonlinearity: str = "tanh"
    num_outputs: int | None = 1
    is_damped: bool = True
    radius: float = 0.9
    tile: tuple[int, int] = (16, 8)
    seed: int = 0

    def run(self, recurrence: str, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
        """Compute all results of the forward and backward passes by a recurrence of the net, by name."""
        generator = torch.Generator().manual_seed(self.seed)

        def normal(*size: int) -> Tensor:
            return torch.randn(size, generator=generator, dtype=torch.float64).to(device, dtype)

        r, b, steps, n = self.num_replicas, self.num_sequences, self.num_steps, self.hidden_size
        model = self._model(recurrence)
        theta = normal(r, model.num_parameters) * (self.radius * n**-0.5)
        direction = normal(r, model.num_parameters)
        ends, num_outputs, lengths = None, steps, torch.full((r, b), steps, device=device)
        if self.num_outputs is not None:
            num_outputs = min(self.num_outputs, steps)
            shuffled = torch.rand(steps, r, b, generator=generator).argsort(0)
            ends = shuffled[:num_outputs].sort(0).values.to(device)
            lengths = ends[-1] + 1
        targets = torch.zeros(num_outputs, r, b, OUTPUT_SIZE, dtype=dtype, device=device)
        batch = Batch(normal(steps, r, b, self.input_size), lengths, ends, targets)
        cotangents = normal(num_outputs, r, b, OUTPUT_SIZE)
        structural = normal(r, 1, 1).abs() if self.is_damped else None
        sweeps = model.sweeps(BlockShape(r, steps, b, dtype, device))
        sweeps.load(batch)
        results = {
            "outputs": sweeps.forward(model.weights(theta)),
            "states": sweeps.states(b),
            "gradient": sweeps.backward(cotangents),
            "state gradients": sweeps.state_gradients(b),
            "output tangents": sweeps.linearized_forward(model.weights(direction)),
            "product": sweeps.linearized_backward(cotangents, structural),
        }
        if model.has_hessian_sweeps:
            loss, outputs = LOSSES["sigmoid_cross_entropy"], results["outputs"].clone()
            results["Hessian product"] = sweeps.hessian_product(model.weights(direction), loss, outputs, targets, 1)
        return results

    def _model(self, recurrence: str) -> Model:
        sizes = self.input_size, OUTPUT_SIZE, self.hidden_size
        if self.net == "rnn":
            return SimpleRnn(*sizes, self.nonlinearity, recurrence)
        return {"lstm": Lstm, "gru": Gru}[self.net](*sizes, recurrence)

    def compare(self, device: torch.device, recurrence: str = "triton") -> dict[str, Any]:
        """Return the largest errors of the kernels and of torch's float32, relative to the largest entry."""
        exact = self.run("torch", torch.float64, device)
        rounded = self.run("torch", torch.float32, device)
        with self._tiled() if recurrence == "triton" else nullcontext():
            kernels = self.run(recurrence, torch.float32, device)
        errors: dict[str, Any] = {"ok": True}
        for name, expected in exact.items():
            error, of_torch = (_relative_error(other[name], expected) for other in (kernels, rounded))
            allowed = TIMES_TORCH * of_torch + ROUNDINGS * torch.finfo(torch.float32).eps
            bounded = error <= max(LARGEST_ERROR, of_torch) or self.radius > 1
            errors |= {name: error, f"{name}, torch": of_torch}
            errors["ok"] = errors["ok"] and error <= allowed and bounded
        return errors

    def _tiled(self) -> AbstractContextManager[None]:
        from rnnbench.kernels.launch import Tile, fixed_tile  # imports Triton

        return fixed_tile(Tile(*self.tile))


def _relative_error(found: Tensor, expected: Tensor) -> float:
    size = expected.abs().max().clamp(min=torch.finfo(torch.float64).tiny)
    return float((found - expected).abs().max() / size)


def precision_cases() -> Mapping[str, SweepCase]:
    """Return the cases by name, which says what is special about each."""
    usual = SweepCase(num_replicas=3, num_sequences=17, num_steps=100, hidden_size=100)
    cases = {f"n = {n}": replace(usual, hidden_size=n) for n in (1, 16, 50, 64, 100, 128, 129, 200, 256)}
    cases |= {f"{rows} rows, {warps} warps": replace(usual, tile=(rows, warps)) for rows, warps in OTHER_TILES}
    cases |= {f"nonlinearity {f}": replace(usual, nonlinearity=f) for f in ("relu", "sigmoid", "linear")}
    return cases | {
        "an output at every step": replace(usual, num_outputs=None),
        "two outputs": replace(usual, num_outputs=2),
        "no damping": replace(usual, is_damped=False),
        "100 inputs": replace(usual, input_size=100),
        "one replica, 1000 sequences": replace(usual, num_replicas=1, num_sequences=1000),
        "one step": replace(usual, num_steps=1),
        "1000 steps": replace(usual, num_steps=1000),
        "64 replicas of one sequence": replace(usual, num_replicas=64, num_sequences=1),
        "spectral radius 1.2, 30 steps": replace(usual, radius=1.2, num_steps=30),
    }


def precision_stage(device: torch.device, *, quick: bool) -> Stage:
    """Make the stage that checks the kernels on a device; quick: one small case."""
    cases = {"small": SweepCase()} if quick else precision_cases()
    measurements = {name: partial(case.compare, device) for name, case in cases.items()}
    title = "errors of the kernels and of torch's float32 against float64, relative to the largest entry"
    return Stage("precision", title, measurements, longest=60)
