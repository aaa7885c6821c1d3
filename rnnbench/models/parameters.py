"""Parameters of a model: their shapes, and their kinds, by which an initialization draws them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

StepKind = Literal["input", "recurrent", "bias", "decay", "phase", "own"]
Kind = Literal[StepKind, "initial_state", "readout", "readout_bias"]

STEP_KINDS: tuple[StepKind, ...] = get_args(StepKind)
"""Kinds of the parameters that a model's `step` takes."""

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Parameter:
    """Shape and kind of one parameter of a replica.

    Attributes:
        shape: Shape without the axis of the replicas.
        kind: How an initialization draws it.
            "input": weights of the inputs, N(0, input_scale^2).
            "recurrent": weights of the hidden state, k stacked square blocks, (k n, n); each block is drawn by the
            initialization's own rule.
            "decay" and "phase": of the eigenvalues exp(-exp(decay) + i exp(phase)) of a diagonal recurrence, (m,) each.
            "bias": N(0, bias_scale^2).
            "own": N(mean, scale^2), the same with every initialization.
            "initial_state": N(0, initial_state_scale^2). "readout": N(0, output_scale^2). "readout_bias": zero. Every
            `Cell` has one parameter of each of these three; its `step` takes none of them.
        scale: Standard deviation of a parameter of kind "own".
        mean: Mean of a parameter of kind "own".
        forget: First and last entry, the last not included, of the biases of the gates that keep the state, in a
            parameter of kind "bias"; an initialization adds its `forget_bias` to them.
        admit: The same for as many biases of the gates that admit new values, for `chrono_length`.
    """

    shape: tuple[int, ...]
    kind: Kind = "own"
    scale: float | None = None
    mean: float = 0.0
    forget: tuple[int, int] = (0, 0)
    admit: tuple[int, int] = (0, 0)

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)


Layout = Mapping[str, Parameter]
"""The parameters of a model by name, in the order in which they lie in theta."""


def check_layout(layout: Layout, hidden_size: int) -> None:
    """Check the shape and kind of every parameter.

    Args:
        layout: The parameters by name.
        hidden_size: n.

    Raises:
        ValueError: A parameter cannot be drawn; the message names it and what would be right.
    """
    for name, parameter in layout.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(f"the name of a parameter must be an identifier, as in W_h, got {name!r}")
        if not isinstance(parameter, Parameter):
            raise ValueError(f'{name} must be a Parameter, as in Parameter((n, n), "recurrent"), got {parameter!r}')
        problem = _problem(parameter, hidden_size)
        if problem:
            raise ValueError(f"{name}: {problem}")


def _problem(parameter: Parameter, hidden_size: int) -> str | None:
    """What is wrong with a parameter; None: nothing."""
    shape, kind = parameter.shape, parameter.kind
    if not isinstance(shape, tuple) or not all(isinstance(size, int) and size >= 1 for size in shape):
        return f"shape must be a tuple of sizes >= 1, as in (n, n) or (n,), got {shape!r}"
    if kind not in KINDS:
        return f"kind must be one of {', '.join(KINDS)}, got {kind!r}"
    if kind == "own" and not _is_scale(parameter.scale):
        return f'a parameter of kind "own" needs its standard deviation, scale >= 0, got {parameter.scale!r}'
    if kind != "own" and (parameter.scale is not None or parameter.mean != 0):
        return f'scale and mean belong to kind "own"; the initialization sets those of kind "{kind}"'
    first, last = parameter.forget
    if (first, last) != (0, 0) and not (kind == "bias" and 0 <= first < last <= shape[0]):
        return f'forget is a range of entries of a parameter of kind "bias", got {parameter.forget!r}'
    start, stop = parameter.admit
    if (start, stop) != (0, 0) and not (0 <= start < stop <= shape[0] and stop - start == last - first):
        return f"admit is a range of as many entries as forget, got {parameter.admit!r}"
    if kind == "recurrent" and not (len(shape) == 2 and shape[1] == hidden_size and shape[0] % hidden_size == 0):
        return (
            f"recurrent weights must be stacked square blocks, (k n, n) with n = {hidden_size}, got {shape}; "
            f"draw another shape by a scale of its own: Parameter({shape}, scale=...)"
        )
    return None


def _is_scale(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
