"""Growth of a small perturbation along the leading eigenvectors of the state-transition Jacobian."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.diagnostics.jacobians import (
    eigenvalue_log_growth,
    leading_eigenvectors,
    product_log_growth,
    push_log_growth,
)
from rnnbench.metrics import Metric
from rnnbench.models.base import Model
from rnnbench.probes.base import Probe, Reading, View
from rnnbench.probes.figures import to_png
from rnnbench.probes.jacobian_figures import draw_push
from rnnbench.probes.trajectories import Visited, sample, shortest


@dataclass(frozen=True)
class JacobianPush(Probe):
    """Growth of a push (a small perturbation) along leading eigenvectors of dh_t/dh_{t-1} on the real trajectory.

    The growth over the next k steps is compared with |lambda|^k, the prediction of the eigenvalue, and with the
    product of the Jacobians along the trajectory, which is exact for a sufficiently small push. The two predictions
    differ if the Jacobian changes along the trajectory.

    Attributes:
        num_sequences: Number of sequences that are sampled.
        num_steps: Number of pushed states per sequence, evenly spaced over the length of the replica's shortest one.
        num_directions: Number of eigenvectors, those of the largest eigenvalues by modulus; a complex pair counts as
            one.
        push_size: Norm of the push, in units of the state.
        push_steps: Maximum number of steps after the push; fewer in short sequences.
        picture_every: Draw at every k-th logged update; 0: never.
    """

    num_sequences: int
    num_steps: int
    num_directions: int
    push_size: float
    push_steps: int
    picture_every: int

    needed = ("state_jacobians", "step")
    metrics = (
        Metric(
            "jacobian/push_growth",
            "ln(distance from the real trajectory push_steps later, over the size of the push) / push_steps, mean over "
            "sampled states and leading eigenvectors",
            "natural logarithm per step",
            "near 0: the net remembers a change along these eigenvectors; far below 0: it forgets it",
        ),
        Metric(
            "jacobian/push_growth_by_product",
            "growth of an infinitely small push, from the product of the Jacobians along the trajectory",
            "natural logarithm per step",
            "equal to jacobian/push_growth unless the push is large enough to saturate units",
        ),
        Metric(
            "jacobian/push_growth_by_eigenvalue",
            "ln |lambda| at the state that is pushed, mean as above",
            "natural logarithm per step",
            "above jacobian/push_growth: the eigenvectors rotate, or the Jacobian shrinks, from step to step",
        ),
    )

    @override
    def num_bytes(self, model: Model, num_steps: int, num_replicas: int) -> int:
        # The Jacobians, those of the next steps, and complex eigenvectors.
        return 10 * num_replicas * self.num_sequences * min(self.num_steps, num_steps) * model.state_size**2 * 8

    @override
    def capture(self, view: View) -> Callable[[], Reading]:
        visited, following = sample(view, self.num_sequences, self.num_steps, self.push_steps)
        num_steps = shortest(view, self.num_sequences).clamp(max=self.push_steps)  # (R,)
        draw = self.picture_every > 0 and view.num_logged % self.picture_every == 0

        def read() -> Reading:
            # (3, steps + 1, directions, K, R, b)
            own = num_steps.cpu()
            growth = self._growth(visited.on_host(), following[: int(own.max())].to("cpu", torch.float64))
            replica = torch.arange(len(own))
            ends = growth.movedim(4, 0)[replica, :, own].movedim(0, 3) / own.view(-1, 1)  # (3, directions, K, R, b)
            means = ends.movedim(3, 1).flatten(2).nanmean(2)  # (3, R)
            scalars = {metric.tag: mean for metric, mean in zip(self.metrics, means, strict=True)}
            leading = growth[:, :, 0].movedim(3, 0).flatten(3)  # (R, 3, steps + 1, samples)

            def picture(replica: int) -> bytes:
                return to_png(draw_push(leading[replica, :, : int(own[replica]) + 1], self.push_size))

            return Reading(scalars, pictures={"jacobian/push_against_steps": picture} if draw else {})

        return read

    def _growth(self, visited: Visited, following: Tensor) -> Tensor:
        """Return ln(growth) after each number of steps: of the net, by the product, by the eigenvalue."""
        model, theta, num_steps = visited.model, visited.theta, len(following)
        values, vectors = leading_eigenvectors(visited.jacobians(), min(self.num_directions, model.state_size))

        def step(k: int, states: Tensor) -> Tensor:
            inputs = following[k].expand(*states.shape[:-1], following.shape[-1])
            return model.next_states(theta, states, inputs)

        along = [visited.states]
        for k in range(num_steps - 1):
            along.append(step(k, along[-1]))
        # Treat each sampled state of a replica as the start of a sequence.
        steps = [torch.stack([_together(one) for one in part]) for part in (along, following)]
        taken = Visited(model, theta, *steps).jacobians_in_turn()
        by_product = product_log_growth(taken, _together(vectors))  # (steps + 1, directions, R, K b)
        num_samples = visited.states.shape[0]
        by_product = by_product.view(*by_product.shape[:-1], num_samples, -1).movedim(-2, -3)
        real = push_log_growth(step, visited.states, vectors, self.push_size, num_steps)
        return torch.stack([real, by_product, eigenvalue_log_growth(values, num_steps)])


def _together(tensor: Tensor) -> Tensor:
    """(..., K, R, b, k) -> (..., R, K b, k)."""
    return tensor.movedim(-4, -3).flatten(-3, -2)
