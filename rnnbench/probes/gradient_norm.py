"""Norms of the gradient and of the update."""

from collections.abc import Callable

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.metrics import Metric
from rnnbench.models.base import Model
from rnnbench.probes.base import Probe, Reading, View
from rnnbench.tasks.base import Task


class GradientNorm(Probe):
    """Euclidean norms of the gradient (in total and per parameter, before and after clipping) and of the step taken."""

    metrics = (
        Metric(
            "gradient/norm",
            "Euclidean norm of the gradient of the training loss over all parameters, before clipping",
            "loss per unit of theta",
            "falls slowly; sudden increases by a factor of 100 or more are exploding gradients, which clipping limits",
            overview=4,
        ),
        Metric(
            "gradient/norm_clipped",
            "Euclidean norm of the gradient after clipping; equal to gradient/norm where nothing clips",
            "loss per unit of theta",
            "equal to gradient/norm at most updates; if always at clip_norm, clipping determines the step size",
        ),
        Metric(
            "gradient_by_parameter/NAME",
            "Euclidean norm of the gradient with respect to one parameter (weight_hh, weight_ih, bias, ...)",
            "loss per unit of theta",
            "weight_hh compared with bias_out shows how much of the gradient comes through time",
            is_detail=True,
        ),
        Metric(
            "update/norm",
            "Euclidean norm of the change of theta in this update; 0: the step was rejected",
            "units of theta",
            "well below the norm of theta (about 10 for 100 hidden units)",
        ),
    )

    @override
    def columns(self, model: Model, task: Task) -> list[str]:
        by_parameter = [f"gradient_by_parameter/{name}" for name in model.layout]
        return ["gradient/norm", "gradient/norm_clipped", *by_parameter, "update/norm"]

    @override
    def capture(self, view: View) -> Callable[[], Reading]:
        # An update returns new tensors, so no copy is needed.
        gradient, clipped = view.update.gradient.gradient, view.update.clipped_gradient
        before, after, model, has_step = view.theta, view.update.theta, view.model, view.is_training

        def read() -> Reading:
            parts = model.parameters(gradient)
            scalars = {
                "gradient/norm": _norm(gradient),
                "gradient/norm_clipped": _norm(clipped),
                **{f"gradient_by_parameter/{name}": _norm(part) for name, part in parts.items()},
                "update/norm": _norm(after.double() - before.double()),
            }
            about_step = () if has_step else ("gradient/norm_clipped", "update/norm")
            return Reading({tag: value for tag, value in scalars.items() if tag not in about_step})

        return read


def _norm(tensor: Tensor) -> Tensor:
    """Euclidean norm of each replica's entries, (R,), float64."""
    norm: Tensor = torch.linalg.vector_norm(tensor.flatten(1), dim=1, dtype=torch.float64)
    return norm
