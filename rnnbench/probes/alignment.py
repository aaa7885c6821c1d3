"""Angles between gradients and steps, and whether the gradient was clipped."""

from collections.abc import Callable

from typing_extensions import override

from rnnbench.diagnostics.gradients import cosine, was_clipped
from rnnbench.metrics import Metric
from rnnbench.probes.base import Probe, Reading, View


class Alignment(Probe):
    """Cosines between the gradients and the steps of successive updates, and clipping.

    The gradients are taken before clipping, each on its update's own training batch.
    """

    reads_previous = True
    metrics = (
        Metric(
            "alignment/gradients",
            "cosine of the angle between the gradients of this update and the one before; empty in the first row",
            "1",
            "above 0; near 0: batch noise dominates; below -0.5: the steps oscillate across a valley",
        ),
        Metric(
            "alignment/steps",
            "cosine of the angle between the steps of this update and the one before; NaN if one was rejected",
            "1",
            "near momentum for a method that has it, near 0 for hf; below -0.5: the learning rate is too high",
        ),
        Metric(
            "alignment/step_against_gradient",
            "cosine of the angle between this update's step and the negative of its gradient",
            "1",
            "1 for plain gradient descent; small: momentum or curvature determines the direction of the step",
        ),
        Metric(
            "gradient/clipped",
            "1 if clipping changed the gradient of this update, else 0; the mean over rows is the share clipped",
            "1",
            "0 at most updates; if always 1, clipping determines the step size",
        ),
    )

    @override
    def capture(self, view: View) -> Callable[[], Reading]:
        # An update returns new tensors, so no copy is needed.
        gradient, clipped, previous = view.update.gradient.gradient, view.update.clipped_gradient, view.previous
        before, after, has_step = view.theta, view.update.theta, view.is_training

        def read() -> Reading:
            scalars = {}
            step = after.double() - before.double()
            if previous is not None:
                scalars["alignment/gradients"] = cosine(gradient, previous.gradient)
                scalars["alignment/steps"] = cosine(step, before.double() - previous.theta.double())
            if has_step:
                scalars["alignment/step_against_gradient"] = cosine(step, -gradient)
                scalars["gradient/clipped"] = was_clipped(gradient, clipped)
            return Reading(scalars)

        return read
