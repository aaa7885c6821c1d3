"""Angles between gradients and steps, and whether the gradient was clipped."""

from collections.abc import Callable

from typing_extensions import override

from rnnbench.diagnostics.gradients import cosine, was_clipped
from rnnbench.metrics import Metric
from rnnbench.models.base import Model
from rnnbench.probes.base import Probe, Reading, View


class Alignment(Probe):
    """Cosines between the gradients and the steps of successive updates, and clipping.

    The gradients are those of the training batches, each on its own sequences; before clipping.
    """

    reads_previous = True
    metrics = (
        Metric(
            "alignment/gradients",
            "cosine of the angle between this update's gradient and that of the update before; empty in the first row",
            "1",
            "above 0; near 0 the noise of the batches hides the direction, below -0.5 the steps jump across a valley",
        ),
        Metric(
            "alignment/steps",
            "the same of the changes of theta; NaN where one of the steps was rejected",
            "1",
            "near momentum for a method with momentum, near 0 for hf; below -0.5 the learning rate is too high",
        ),
        Metric(
            "alignment/step_against_gradient",
            "cosine of the angle between this update's step and the negative of its gradient",
            "1",
            "1 for plain gradient descent; small: momentum or curvature decides where the step goes",
        ),
        Metric(
            "gradient/clipped",
            "1 where clipping changed this update's gradient, else 0: the mean over rows is the share clipped",
            "1",
            "0 at most updates; always 1: the learning rate is set by the clipping",
        ),
    )

    @override
    def columns(self, model: Model, num_steps: int) -> list[str]:
        return [metric.tag for metric in self.metrics]

    @override
    def capture(self, view: View) -> Callable[[], Reading]:
        # Updates return new tensors, so that nothing has to be copied.
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
