"""Times of `python -m benchmarks gpu`; each is written to disk before the next one is measured."""

import torch

from benchmarks.gpu import SHAPES, measurements
from benchmarks.gpu_check.stage import Measure, Stage
from rnnbench.bench.options import Shape

QUICK_SHAPES = (Shape(2, 3, 4, 5),)


def speed_stage(device: torch.device, *, quick: bool) -> Stage:
    """Make the stage of all ways at all shapes; quick: one tiny shape, without ways that compile for long."""
    named: dict[str, Measure] = {}
    for shape in QUICK_SHAPES if quick else SHAPES:
        where = "R, B, T, n = " + ", ".join(map(str, shape))
        named |= {f"{where}: {name}": measure for name, measure in measurements(shape, device, quick=quick).items()}
    return Stage("speed", "times of a gradient and of a Gauss-Newton product", named, longest=120)
