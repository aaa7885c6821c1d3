"""Laws of a model, on random parameters and batches in float64.

Letters: R replicas, P parameters of one replica, S outputs of a sequence, B sequences, s size of the whole state.
"""

import torch
from torch import Tensor

from rnnbench.checks.cases import F64, Case
from rnnbench.checks.law import Law, LawError, NotApplicableError, assert_close
from rnnbench.losses import Loss
from rnnbench.models.base import Model, Sweeps
from rnnbench.objective.engine import Engine
from rnnbench.objective.hessian import plain_outputs
from rnnbench.objective.objective import Objective

RELATIVE = 1e-10
"""Largest difference from autograd, relative to the largest entry."""

DIFFERENCE, RELATIVE_OF_DIFFERENCE = 1e-6, 1e-5
"""Step of a central difference in parameter space, and its largest relative error."""


def assert_replica_law(case: Case, weight: Tensor | None = None) -> None:
    """Check that replica r of a batched run equals the run alone, in loss, gradient and curvature products.

    Args:
        case: R replicas.
        weight: Structural damping of each, (R, 1); None: without it.

    Raises:
        LawError: A replica differs.
    """
    _, theta, batch, objective, _ = case
    vector, together = case.vector(), objective.loss_and_gradient(theta)
    product = objective.linearize(theta, weight).product(vector) if _is_linearized(case) else None
    of_hessian = objective.hessian_product(theta, vector) if case.model.has_hessian_sweeps else None
    for r in range(len(theta)):
        rows = slice(r, r + 1)
        alone = Objective(objective.engine, objective.loss_function, batch.replicas(rows))
        result = alone.loss_and_gradient(theta[rows])
        assert_close(result.loss, together.loss[rows], f"the loss of replica {r} alone")
        assert_close(result.gradient, together.gradient[rows], f"the gradient of replica {r} alone")
        if product is not None:
            own = None if weight is None else weight[rows]
            found = alone.linearize(theta[rows], own).product(vector[rows])
            assert_close(found, product[rows], f"the Gauss-Newton product of replica {r} alone")
        if of_hessian is not None:
            found = alone.hessian_product(theta[rows], vector[rows])
            assert_close(found, of_hessian[rows], f"the Hessian product of replica {r} alone")


def sequences_are_separate(case: Case) -> None:
    """The outputs of a sequence do not depend on the others in the batch."""
    outputs = case.objective.outputs(case.theta)
    for k in range(case.batch.size):
        alone = case.objective.rows(k, k + 1).outputs(case.theta)
        assert_close(alone, outputs[:, :, k : k + 1], f"the outputs of sequence {k} alone")


def step_changes_nothing(case: Case) -> None:
    """A step returns new tensors, and leaves parameters, state and inputs as they were."""
    model, theta, batch = case.model, case.theta, case.batch
    _needs_step(model)
    parameters = {name: part.clone() for name, part in model.parameters(theta).items()}
    state = tuple(part.clone() for part in model.initial_state(parameters, batch.size))
    inputs = batch.inputs[0].clone()
    kept = [tensor.clone() for tensor in (*parameters.values(), *state, inputs)]
    model.step(model.effective_parameters(parameters), state, inputs)
    names = [*parameters, *(f"part {k} of the state" for k in range(len(state))), "the inputs"]
    for name, before, after in zip(names, kept, (*parameters.values(), *state, inputs), strict=True):
        if not torch.equal(before, after):
            raise LawError(f"step changes {name} in place")


def gradient_is_that_of_autograd(case: Case) -> None:
    """Loss and gradient of the sweeps are those of a plain loop over the steps."""
    result = case.objective.loss_and_gradient(case.theta)
    if type(case.model).step is Model.step:
        _check_by_differences(case, result.gradient)
        return
    theta = case.theta.clone().requires_grad_()
    with torch.enable_grad():
        loss = _plain_loss(case, theta)
        (gradient,) = torch.autograd.grad(loss.sum(), theta)
    assert_close(result.loss, loss.detach(), "the loss", RELATIVE)
    for name, part in case.model.parameters(result.gradient).items():
        expected = case.model.parameters(gradient)[name]
        scale = gradient.abs().max().clamp(min=1e-300)
        assert_close(part / scale, expected / scale, f"the gradient by {name}", _relative(expected / scale))


def _relative(expected: Tensor) -> float:
    """Tolerance for one parameter, relative to the largest entry of the whole gradient."""
    return RELATIVE / max(float(expected.abs().max()), RELATIVE)


def _check_by_differences(case: Case, gradient: Tensor) -> None:
    """Compare a gradient with a central difference of the loss along a random direction."""
    vector = case.vector()
    ends = [case.objective.loss(case.theta + sign * DIFFERENCE * vector) for sign in (1, -1)]
    expected = (ends[0] - ends[1]) / (2 * DIFFERENCE)
    assert_close((gradient * vector).sum(1), expected, "the gradient along a direction", RELATIVE_OF_DIFFERENCE)


def _plain_loss(case: Case, theta: Tensor) -> Tensor:
    """The loss of each replica by a plain loop over the steps, (R,)."""
    outputs = plain_outputs(case.model, case.model.parameters(theta), case.batch)
    return case.objective.loss_function.values(outputs, case.batch.targets).mean((0, 2))


def product_is_that_of_autograd(case: Case) -> None:
    """The Gauss-Newton product J^T H J v of the sweeps is the one of autograd, by differentiating twice."""
    _needs_step(case.model)
    if not _is_linearized(case):
        raise NotApplicableError("the model has no linearized sweeps")
    loss, targets, vector = case.objective.loss_function, case.batch.targets, case.vector()
    theta = case.theta.clone().requires_grad_()
    with torch.enable_grad():
        outputs = plain_outputs(case.model, case.model.parameters(theta), case.batch)
        dual = torch.zeros_like(outputs, requires_grad=True)
        (pulled,) = torch.autograd.grad(outputs, theta, dual, create_graph=True)
        (tangents,) = torch.autograd.grad(pulled, dual, vector, retain_graph=True)
        free = outputs.detach().requires_grad_()
        (slope,) = torch.autograd.grad(loss.values(free, targets).sum(), free, create_graph=True)
        (curved,) = torch.autograd.grad(slope, free, tangents)
        (expected,) = torch.autograd.grad(outputs, theta, curved / (outputs.shape[0] * case.batch.size))
    product = case.objective.linearize(case.theta).product(vector)
    assert_close(product, expected, "the Gauss-Newton product", RELATIVE)


def hessian_product_is_that_of_autograd(case: Case) -> None:
    """The product of the sweeps with the Hessian of the loss is the one of autograd, by differentiating twice."""
    if not case.model.has_hessian_sweeps:
        raise NotApplicableError("the model has no Hessian sweeps of its own")
    _needs_step(case.model)
    vector, theta = case.vector(), case.theta.clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(_plain_loss(case, theta).sum(), theta, create_graph=True)
        (expected,) = torch.autograd.grad(gradient, theta, vector)
    assert_close(case.objective.hessian_product(case.theta, vector), expected, "the Hessian product", RELATIVE)


def jacobians_are_those_of_autograd(case: Case) -> None:
    """`state_jacobians` holds the derivatives of one step with respect to the state before it."""
    model, batch = case.model, case.batch
    if type(model).state_jacobians is Model.state_jacobians:
        raise NotApplicableError("the model has no state_jacobians")
    _needs_step(model)
    size = (len(case.theta), batch.size, model.state_size)
    states = torch.randn(size, generator=case.generator, dtype=F64).mul_(0.5).requires_grad_()
    with torch.enable_grad():
        after = model.next_states(case.theta, states, batch.inputs[0])
        rows = [torch.autograd.grad(after[..., k].sum(), states, retain_graph=True)[0] for k in range(size[-1])]
    jacobians = model.state_jacobians(case.theta, states.detach(), batch.inputs[0])
    assert_close(jacobians, torch.stack(rows, -2), "the Jacobians", RELATIVE)


def float32_follows_float64(case: Case) -> None:
    """The outputs in float32 are those in float64, rounded."""
    engine = Engine(case.model, dtype=torch.float32)
    single = case.batch.inputs.float()
    batch = type(case.batch)(single, case.batch.lengths, case.batch.output_steps, case.batch.targets)
    outputs = Objective(engine, case.objective.loss_function, batch).outputs(case.theta.float())
    if outputs.dtype != torch.float32:
        raise LawError(f"outputs of float32 parameters are of {outputs.dtype}")
    assert_close(outputs.double(), case.objective.outputs(case.theta), "the outputs in float32", 1e-3)


def _needs_step(model: Model) -> None:
    if type(model).step is Model.step:
        raise NotApplicableError("the model has no step to compare with")


def _is_linearized(case: Case) -> bool:
    """Whether model and loss have Gauss-Newton products."""
    sweeps = type(case.objective.engine.lend(1, 1, 1))
    has_loss = type(case.objective.loss_function).hessian_product is not Loss.hessian_product
    return has_loss and sweeps.linearized_forward is not Sweeps.linearized_forward


MODEL_LAWS: tuple[Law[Case], ...] = (
    Law("a step changes nothing in place", "Gradients and products would be wrong.", step_changes_nothing),
    Law("sequences do not mix", "Blocks of a batch would give other results.", sequences_are_separate),
    Law("a replica computes as if alone", "A replica of a sweep would differ from its run alone.", assert_replica_law),
    Law("the gradient is that of autograd", "The net would not descend its loss.", gradient_is_that_of_autograd),
    Law("the Gauss-Newton product is that of autograd", "Hessian-free would not work.", product_is_that_of_autograd),
    Law(
        "the Hessian product is that of autograd", "psgd would fit a wrong matrix.", hessian_product_is_that_of_autograd
    ),
    Law("state_jacobians are those of autograd", "Probes would show wrong spectra.", jacobians_are_those_of_autograd),
    Law("float32 follows float64", "dtype would change the net; make constants by new_zeros.", float32_follows_float64),
)
