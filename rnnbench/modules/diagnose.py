"""A look into a recurrent torch.nn.Module: gradients by lag, Jacobians, their products, Lyapunov exponents."""

import numbers
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from rnnbench.modules.arguments import calling_loss, calling_module, check_callable, described
from rnnbench.modules.diagnosis import Diagnosis, Request, ScalarWriter, check_writer, measure
from rnnbench.modules.recurrence import check_device, recording_of

ARGUMENTS = "what the module returns, alone"
"""What the loss takes, for messages."""


def diagnose(
    module: torch.nn.Module,
    inputs: Any,
    loss: Callable[[Any], Tensor],
    *,
    recurrence: torch.nn.Module | None = None,
    num_sequences: int = 1,
    num_steps: int = 4,
    lags: Sequence[int] | None = None,
    num_exponents: int | None = 32,
    product_singular_values: bool = False,
    writer: ScalarWriter | None = None,
    step: int | None = None,
) -> Diagnosis:
    """Measure how a recurrent net on one batch keeps or loses what it has read, by the mathematics of the probes.

    The recurrence is a torch.nn.RNN, LSTM or GRU anywhere in the module (stacked, with initial states, on tensors or a
    PackedSequence), a torch.nn.RNNCell, LSTMCell or GRUCell that the module calls in a loop, or a cell of one's own:
    any module that the loop calls once for each step with the state, and that returns the next one. It may take and
    return other things too; the state is what it returns and gets again at the next call, the same tensor objects. It
    must treat each sequence by itself, along the first axis, and all steps alike.

    The net is run once, layers step by step, and the loss is differentiated once. Gradients by lag are those of the
    whole batch; Jacobians, their products and exponents are those of the first `num_sequences` sequences. Nothing of
    the module changes: not its parameters, their .grad, its buffers and its mode, nor torch's random generators.

    Args:
        module: The net, on the device and in the dtype it has. It is called as module(inputs).
        inputs: A batch, in whatever form the module takes.
        loss: Function of what the module returns: the loss, a scalar tensor, as a mean over the B sequences. With a sum
            instead, numbers of gradients are B times as large.
        recurrence: The part of the module that is the recurrence; None: its only layer or cell of torch.nn.
        num_sequences: Number of sequences that are followed.
        num_steps: Number of steps of each at which Jacobians are decomposed, evenly spaced.
        lags: Lags T - t at which norms of dh_T/dh_t are computed, ascending, from 0 to T; None: 0, 1, 2, 5, 10, ...
            and twelve evenly spaced ones.
        num_exponents: Number of Lyapunov exponents, the leading ones; None: all. Two of their scalars need all.
        product_singular_values: Whether to compute all singular values of dh_T/dh_t at twelve lags. Takes long.
        writer: A SummaryWriter, to which the scalars are written; None: they are only returned.
        step: Number of the training step, for the writer.

    Returns:
        Arrays, scalars and figures.

    Raises:
        ValueError: The module is none, or has no recurrence that can be looked into, or several; the inputs or the loss
            do not fit; states are not finite; an argument is of another kind or out of its range.

    Example:
        >>> lstm = torch.nn.LSTM(2, 5, batch_first=True)
        >>> found = diagnose(lstm, torch.randn(3, 20, 2), lambda outputs: outputs[0][:, -1].square().mean())
        >>> found.state_gradient.shape, found.eigenvalues.shape
        (torch.Size([20]), torch.Size([4, 1, 10]))
    """
    _check_counts(num_sequences=num_sequences, num_steps=num_steps, num_exponents=num_exponents)
    lags = None if lags is None else _checked_lags(lags)
    check_callable(loss, ARGUMENTS)
    if writer is not None:
        check_writer(writer)
    recording = recording_of(module, recurrence)
    check_device(module, inputs)
    request = Request(num_sequences, num_steps, lags, num_exponents, product_singular_values)
    with _undisturbed(module):
        handles = recording.attach()
        try:
            with calling_module(inputs):
                outputs = module(inputs)
        finally:
            for handle in handles:
                handle.remove()
        with calling_loss(ARGUMENTS, outputs):
            value = loss(outputs)
        value = _checked(value)
        trajectory = recording.trajectory(value)
        if not value.isfinite():
            raise ValueError(f"the loss is {value.item()}, although the states of {recording.name} are finite")
        found = measure(recording.name, value.item(), trajectory, request)
    if writer is not None:
        found.write(writer, step)
    return found


def _check_counts(**counts: int | None) -> None:
    for name, number in counts.items():
        if number is None and name == "num_exponents":
            continue
        if isinstance(number, bool) or not isinstance(number, numbers.Integral) or number < 1:
            raise ValueError(f"{name} must be a whole number, at least 1, got {number!r}")


def _checked_lags(lags: Any) -> Sequence[int]:
    listed: list[Any] = list(lags) if isinstance(lags, Iterable) else [None]
    if not all(isinstance(lag, numbers.Integral) for lag in listed):
        raise ValueError(f"lags must be ascending numbers from 0 to T, got {lags!r}")
    return listed


@contextmanager
def _undisturbed(module: torch.nn.Module) -> Iterator[None]:
    """Enable gradients, and restore random generators and the module's buffers at the end."""
    buffers = {buffer: buffer.detach().clone() for buffer in module.buffers()}
    devices = {parameter.device for parameter in module.parameters() if parameter.device.type == "cuda"}
    with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng(list(devices)):
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, before in buffers.items():
                    buffer.copy_(before)


def _checked(value: Any) -> Tensor:
    if not isinstance(value, Tensor) or value.numel() != 1 or not value.is_floating_point():
        raise ValueError(f"loss must return a scalar tensor, the mean over the sequences, got {described(value)}")
    return value.squeeze()
