"""A linear recurrence with a diagonal matrix: the linear recurrent unit."""

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.models.base import Parameters, State
from rnnbench.models.cell import Cell
from rnnbench.models.nonlinearity import find_nonlinearity
from rnnbench.models.parameters import Layout, Parameter


class Lru(Cell):
    """The linear recurrent unit: n/2 complex units, each with an eigenvalue of its own, |lambda| < 1.

        s_t = lambda s_{t-1} + gamma u_t,  u_t = f(W_ih x_t + b),  all products by entry
        lambda = exp(-exp(log_decay) + i exp(log_phase)),  gamma = sqrt(1 - |lambda|^2)

    The state h is [Re s; Im s], n real numbers; u_t has its real and imaginary parts in the same order. So a linear
    readout of h is the real part of a complex one of s. The recurrence is linear: with f "linear" the whole net is, and
    only then is it the recurrence of the publication alone. There, a nonlinear function of its outputs follows; here f
    acts on what enters it, which in stacked layers is the same place. Left out are gated linear units, skip connections
    and normalization between layers, and gamma is no parameter of its own that begins at this value.

    Args:
        input_size: d.
        output_size: o.
        hidden_size: n, even.
        nonlinearity: f: "tanh", "relu", "linear" or "sigmoid".

    Raises:
        ValueError: The nonlinearity is unknown, or n is odd.

    Source: Orvieto et al. (2023), ICML, "Resurrecting recurrent neural networks for long sequences", section 3.
    """

    def __init__(self, input_size: int, output_size: int, hidden_size: int, nonlinearity: str = "tanh") -> None:
        self.nonlinearity = find_nonlinearity(nonlinearity)
        if hidden_size % 2:
            raise ValueError(
                "model.hidden_size must be even with model=lru, whose units are real and imaginary parts, "
                f"got {hidden_size}"
            )
        super().__init__(input_size, output_size, hidden_size)

    @override
    def step_layout(self) -> Layout:
        n = self.hidden_size
        return {
            "log_decay": Parameter((n // 2,), "decay"),
            "log_phase": Parameter((n // 2,), "phase"),
            "weight_ih": Parameter((n, self.input_size), "input"),
            "bias": Parameter((n,), "bias"),
        }

    @override
    def effective_parameters(self, parameters: Parameters) -> Parameters:
        """Real and imaginary parts of lambda, (r, 1, n/2), gamma of both parts of a unit, (r, 1, n), and the others."""
        decay, phase = parameters["log_decay"].exp().unsqueeze(1), parameters["log_phase"].exp().unsqueeze(1)
        gamma = (-torch.expm1(-2 * decay)).sqrt()
        return {
            "real": torch.exp(-decay) * phase.cos(),
            "imaginary": torch.exp(-decay) * phase.sin(),
            "gamma": torch.cat([gamma, gamma], -1),
            "weight_ih": parameters["weight_ih"],
            "bias": parameters["bias"],
        }

    @override
    def step(self, parameters: Parameters, state: State, inputs: Tensor) -> State:
        entering = torch.baddbmm(parameters["bias"].unsqueeze(1), inputs, parameters["weight_ih"].mT)
        entering = parameters["gamma"] * self.nonlinearity.of(entering)
        (real, imaginary), a, b = state[0].chunk(2, -1), parameters["real"], parameters["imaginary"]
        return (torch.cat([a * real - b * imaginary, b * real + a * imaginary], -1) + entering,)

    @override
    def recurrent_weight(self, theta: Tensor) -> Tensor:
        """The matrix of the recurrence of h, (R, n, n); its eigenvalues are lambda and its complex conjugates."""
        effective = self.effective_parameters(self.parameters(theta))
        real, imaginary = (torch.diag_embed(effective[name].squeeze(1)) for name in ("real", "imaginary"))
        return torch.cat([torch.cat([real, -imaginary], -1), torch.cat([imaginary, real], -1)], -2)

    @override
    def state_jacobians(self, theta: Tensor, states: Tensor, inputs: Tensor) -> Tensor:
        matrix = self.recurrent_weight(theta).unsqueeze(1)  # the same at every state
        return matrix.expand(*states.shape, states.shape[-1]).clone()
