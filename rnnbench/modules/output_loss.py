"""The loss of a batch as a function of what a module returns, and products with its Hessian there.

Letters: N terms of a mean.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rnnbench.modules.arguments import calling_loss, check_callable, described, first_line

LossFunction = Callable[[Any, Any], Tensor]
"""Maps what the module returns, and the targets, to the mean loss of the batch."""

HessianProduct = Callable[[Sequence[Tensor]], Sequence[Tensor]]
"""Multiplies the Hessian of the loss with respect to the outputs by a vector, a tensor for each output."""

ARGUMENTS = "(outputs, targets)"
"""What a loss takes, for messages."""

_FUNCTIONS: Sequence[tuple[Any, type[torch.nn.Module]]] = (
    (F.mse_loss, torch.nn.MSELoss),
    (F.cross_entropy, torch.nn.CrossEntropyLoss),
    (F.binary_cross_entropy_with_logits, torch.nn.BCEWithLogitsLoss),
)
"""Functions that equal a module of torch with the same arguments."""


def check_loss(loss: LossFunction) -> None:
    """Check that a loss is a mean over the batch, as far as it says so.

    Raises:
        ValueError: It is not callable, or its `reduction` is not a mean.
    """
    check_callable(loss, ARGUMENTS)
    reduction = _arguments(loss).get("reduction", "mean")
    if reduction not in ("mean", "batchmean"):
        raise ValueError(f"the loss must be a mean over the batch: use reduction='mean', got {reduction!r}")


def mean_loss(loss: LossFunction, outputs: Any, targets: Any) -> Tensor:
    """The loss of a batch, a scalar.

    Raises:
        ValueError: The loss cannot be called with these, or is not a scalar.
    """
    with calling_loss(ARGUMENTS, outputs, targets):
        value = loss(outputs, targets)
    if not isinstance(value, Tensor) or value.dim() > 0 or not value.is_floating_point():
        raise ValueError(f"the loss must be a scalar tensor, the mean over the batch, got {described(value)}")
    return value


def hessian_product(
    loss: LossFunction, outputs: Sequence[Tensor], rebuild: Callable[[Sequence[Tensor]], Any], targets: Any
) -> HessianProduct:
    """Products with the Hessian of the loss at the outputs: in closed form for the common losses, else by autograd.

    Args:
        loss: The loss.
        outputs: The floating-point tensors in what the module returned, detached.
        rebuild: Puts such tensors back into what the module returned.
        targets: Targets of the batch.

    Raises:
        ValueError: The loss cannot be called with these; or, from a product, it cannot be differentiated twice.
    """
    if isinstance(rebuild(outputs), Tensor) and isinstance(targets, Tensor):
        known = _closed_form(loss, outputs[0], targets)
        if known is not None:
            return lambda vectors: [known(vectors[0])]
    return _by_autograd(loss, outputs, rebuild, targets)


def check_curved(
    loss: LossFunction, outputs: Sequence[Tensor], rebuild: Callable[[Sequence[Tensor]], Any], targets: Any
) -> None:
    """Check that a loss whose gradient is not zero has a Hessian with respect to the outputs that is not zero either.

    The Hessian is multiplied by a random vector. A loss that is linear, or piecewise linear, gives zero exactly. The
    losses with closed forms are curved everywhere.

    Args:
        loss: The loss.
        outputs: As in `hessian_product`.
        rebuild: As in `hessian_product`.
        targets: Targets of the batch.

    Raises:
        ValueError: The Hessian is zero.
    """
    generator = torch.Generator().manual_seed(0)
    vectors = [torch.randn(each.shape, generator=generator, dtype=each.dtype).to(each.device) for each in outputs]
    if not any(each.any() for each in hessian_product(loss, outputs, rebuild, targets)(vectors)):
        raise ValueError(
            "the loss is linear in what the module returns, so the Gauss-Newton matrix is zero: use a curved loss, "
            "CrossEntropyLoss of logits in place of NLLLoss of log-probabilities, MSELoss or a Huber loss with a "
            "larger delta in place of absolute errors"
        )


def _kind(loss: LossFunction) -> type[torch.nn.Module] | None:
    """The class of a loss module of torch, also for its function; None: another loss."""
    if isinstance(loss, functools.partial):
        return None if loss.args else _kind(loss.func)
    return next((kind for function, kind in _FUNCTIONS if loss is function or type(loss) is kind), None)


def _arguments(loss: LossFunction) -> Mapping[str, Any]:
    """The arguments of a loss that are not at their defaults, as far as they can be read."""
    if isinstance(loss, functools.partial):
        return {**_arguments(loss.func), **loss.keywords}
    if isinstance(loss, torch.nn.Module):
        return {**vars(loss), **dict(loss.named_buffers(recurse=False))}
    return {}


def _closed_form(loss: LossFunction, outputs: Tensor, targets: Tensor) -> Callable[[Tensor], Tensor] | None:
    """Hessian products of the plain forms of the common losses; None for other losses and forms."""
    kind, arguments = _kind(loss), _arguments(loss)
    if kind is None or any(arguments.get(name) is not None for name in ("weight", "pos_weight")):
        return None
    if kind is torch.nn.CrossEntropyLoss:
        if targets.is_floating_point() or arguments.get("label_smoothing", 0.0) or outputs.dim() == 0:
            return None
        return _softmax_product(outputs, targets, arguments.get("ignore_index", -100))
    if outputs.shape != targets.shape:  # torch broadcasts them
        return None
    if kind is torch.nn.MSELoss:
        return lambda vector: (2 / outputs.numel()) * vector
    probabilities = torch.sigmoid(outputs)
    curvature = probabilities * (1 - probabilities) / outputs.numel()
    return lambda vector: curvature * vector


def _softmax_product(outputs: Tensor, targets: Tensor, ignore_index: int) -> Callable[[Tensor], Tensor]:
    """(diag(p) - p p^T) / N for the N targets that count; classes lie along dimension 1, or 0 of a single output."""
    dim = min(1, outputs.dim() - 1)
    counted = (targets != ignore_index).unsqueeze(dim).to(outputs.dtype)
    probabilities = torch.softmax(outputs, dim)
    scaled = probabilities * (counted / counted.sum())

    def product(vector: Tensor) -> Tensor:
        return scaled * (vector - (probabilities * vector).sum(dim, keepdim=True))

    return product


def _by_autograd(
    loss: LossFunction, outputs: Sequence[Tensor], rebuild: Callable[[Sequence[Tensor]], Any], targets: Any
) -> HessianProduct:
    """Hessian products by differentiating the gradient of the loss, recorded once."""
    with torch.enable_grad():
        variables = [output.detach().requires_grad_() for output in outputs]
        value = mean_loss(loss, rebuild(variables), targets)
        gradients = torch.autograd.grad(value, variables, create_graph=True, materialize_grads=True)
    kept = [k for k, gradient in enumerate(gradients) if gradient.requires_grad]

    def product(vectors: Sequence[Tensor]) -> Sequence[Tensor]:
        if not kept:  # the loss is linear on this batch
            return [torch.zeros_like(variable) for variable in variables]
        try:
            return torch.autograd.grad(
                [gradients[k] for k in kept],
                variables,
                [vectors[k] for k in kept],
                retain_graph=True,
                materialize_grads=True,
            )
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise ValueError(f"the loss cannot be differentiated twice: {first_line(error)}") from error

    return product
