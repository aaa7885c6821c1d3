"""The noise of the gradient of single sequences."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from typing_extensions import override

from rnnbench.diagnostics.gradients import simple_noise_scale
from rnnbench.metrics import Metric
from rnnbench.models.base import Model
from rnnbench.objective.objective import NUMBERS_AT_ONCE
from rnnbench.probes.base import Probe, Reading, View
from rnnbench.probes.sample import sample_bytes, take_sample


@dataclass(frozen=True)
class GradientNoise(Probe):
    """Simple noise scale: the variance of single sequences' gradients over the squared norm of the gradient.

    It is estimated from the squared norms of single sequences' gradients and of the batch gradient (McCandlish et al.
    2018, appendix A.1).

    Attributes:
        num_sequences: Number of sequences of each replica whose gradients are computed one by one.
    """

    num_sequences: int

    metrics = (
        Metric(
            "gradient_noise/scale",
            "trace / signal: batch size at which noise and gradient are equally large; NaN if signal <= 0",
            "sequences",
            "below the batch size; far above it, the gradient is mostly noise; grows as the loss falls",
        ),
        Metric(
            "gradient_noise/trace",
            "estimate of tr(Sigma), the variances of one sequence's gradient summed over all parameters",
            "squared loss per squared unit of theta",
            "single readings are noisy: average trace and signal over rows before dividing",
        ),
        Metric(
            "gradient_noise/signal",
            "estimate of the squared norm of the gradient without noise: |g|^2 - trace / batch size",
            "squared loss per squared unit of theta",
            "above 0; otherwise the batch is too small to determine the direction of the gradient",
        ),
    )

    @override
    def num_bytes(self, model: Model, num_steps: int, num_replicas: int) -> int:
        single = 3 * 8 * max(NUMBERS_AT_ONCE, num_replicas * model.num_parameters)
        return single + sample_bytes(model, num_steps, num_replicas, self.num_sequences)

    @override
    def capture(self, view: View) -> Callable[[], Reading]:
        gradient, batch_size = view.update.gradient.gradient, view.update.gradient.num_sequences
        sample = take_sample(view.model, view.update.gradient, self.num_sequences)

        def read() -> Reading:
            single = [
                objective.mean_squared_gradient(sample.theta[rows]).sum(1) for rows, objective in sample.objectives()
            ]
            squared_norm = gradient.double().square().sum(1).cpu()
            noise = simple_noise_scale(torch.cat(single), 1, squared_norm, batch_size)
            return Reading(
                {
                    "gradient_noise/scale": noise.scale,
                    "gradient_noise/trace": noise.trace,
                    "gradient_noise/signal": noise.signal,
                }
            )

        return read
