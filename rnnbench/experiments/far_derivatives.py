"""First and second derivatives of a batch's loss with respect to variables that act at one step, far from the loss.

These variables are the initial state h_0 and a separate copy of the recurrent weights W for one step. The net is the
simple recurrent net with a single output, at the last step.

Letters: R nets, T steps, b sequences, n units, o outputs, p parameters: n of h_0, n^2 of W.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.diagnostics.state_curvature import preactivation_hessians, through_weight
from rnnbench.experiments.trajectories import Trajectories
from rnnbench.linear_algebra import eigvalsh
from rnnbench.losses import Loss
from rnnbench.models.simple_rnn import SimpleRnn


@dataclass(frozen=True)
class Derivatives:
    """Derivatives of the mean loss of a batch.

    Attributes:
        gradient: Gradient, (R, p).
        hessian: Hessian, (R, p, p).
        gauss_newton: Gauss-Newton matrix, the part of the Hessian due to the curvature of the loss, (R, p, p).
    """

    gradient: Tensor
    hessian: Tensor
    gauss_newton: Tensor

    def log_sizes(self) -> dict[str, Tensor]:
        """Return ln of each derivative's size, (R,), by the attribute's name.

        The size of the gradient is its norm, that of a matrix its largest |eigenvalue|.
        """
        matrices = {"hessian": self.hessian, "gauss_newton": self.gauss_newton}
        sizes = {name: eigvalsh(matrix).abs().amax(1).log() for name, matrix in matrices.items()}
        return {"gradient": torch.linalg.vector_norm(self.gradient, dim=1).log(), **sizes}


def by_initial_state(trajectories: Trajectories, loss: Loss) -> Derivatives:
    """Compute the derivatives with respect to h_0, which all sequences share; it is T steps before the loss."""
    weight = trajectories.model.parameters(trajectories.theta)["weight_hh"]
    (gradient,) = (trajectories.preactivation_gradients()[0].mean(1, keepdim=True) @ weight).unbind(1)
    *_, (hessian, gauss_newton) = _second_by_preactivation(trajectories, loss)
    return Derivatives(gradient, *(through_weight(one.mean(1), weight) for one in (hessian, gauss_newton)))


def by_weight_copies(trajectories: Trajectories, loss: Loss, distances: Collection[int]) -> Iterator[Derivatives]:
    """Yield the derivatives with respect to a separate copy of W at step t, for ascending distances T - t.

    Args:
        trajectories: Trajectories of T steps.
        loss: Loss of one output.
        distances: Distances T - t, from 0 to T - 1.
    """
    inner, num_steps = trajectories.preactivation_gradients(), len(trajectories.state_gradients)
    for distance, both in enumerate(_second_by_preactivation(trajectories, loss)):
        if distance in distances:
            before = trajectories.states[num_steps - 1 - distance]  # h_{t-1}, (R, b, n)
            gradient = inner[num_steps - 1 - distance].mT @ before / before.shape[1]
            yield Derivatives(gradient.flatten(1), *(_of_products(one, before) for one in both))


def _of_products(matrices: Tensor, before: Tensor) -> Tensor:
    """Convert d^2L/da^2, (R, b, n, n), with a = W h, to the mean over b of d^2L/dW^2, (R, n n, n n); h is (R, b, n)."""
    mean = torch.einsum("rbij,rbk,rbl->rikjl", matrices, before, before) / before.shape[1]
    return mean.flatten(3, 4).flatten(1, 2)


def _second_by_preactivation(trajectories: Trajectories, loss: Loss) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield Hessian and Gauss-Newton matrix of each sequence's loss with respect to a_t, t = T .. 1, (R, b, n, n)."""
    model, after = trajectories.model, trajectories.states[1:]
    assert isinstance(model, SimpleRnn)
    weight = model.parameters(trajectories.theta)["weight_hh"]
    slopes, last = model.nonlinearity.derivative(after), _second_by_last_state(trajectories, loss)
    second_order = trajectories.state_gradients * model.nonlinearity.second_derivative(after)
    return zip(*(preactivation_hessians(weight, slopes, each, last) for each in (second_order, None)), strict=True)


def _second_by_last_state(trajectories: Trajectories, loss: Loss) -> Tensor:
    """Compute d^2L/dh_T^2, (R, b, n, n)."""
    named = trajectories.model.parameters(trajectories.theta)
    outputs = trajectories.model.readout(named, trajectories.states[-1])  # (R, b, o)
    readout = named["weight_out"]  # (R, o, n)
    tangents = readout.permute(2, 0, 1).unsqueeze(2).expand(-1, *outputs.shape)  # d output / d h_j, (n, R, b, o)
    curved = loss.hessian_product(outputs.expand_as(tangents), tangents)
    return torch.einsum("roi,jrbo->rbij", readout, curved)
