"""PSGD: the fit of both preconditioners against dense matrices, and the laws of an optimizer and of its runs."""

from dataclasses import dataclass, replace

import pytest
import torch
from cases import F64, assert_close
from torch import Tensor

from rnnbench.checks.optim_laws import OPTIMIZER_LAWS, OptimizerCase
from rnnbench.init.orthogonal import OrthogonalInit
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.objective.engine import Engine
from rnnbench.optim.psgd import Psgd
from rnnbench.tasks.xor import Xor
from rnnbench.training.problem import Problem, draw_parameters

FORMS = ("low_rank", "kronecker")
every_form = pytest.mark.parametrize("form", FORMS)


def column(*values):
    return torch.tensor(values, dtype=F64).unsqueeze(1)


def psgd(form, layout, num_replicas=2, **changes):
    infinity = torch.full((num_replicas, 1), torch.inf, dtype=F64)
    keys = {
        **dict.fromkeys(("clip_norm", "clip_value", "step_clip_norm"), infinity),
        **dict.fromkeys(("weight_decay", "information_flow", "momentum"), 0 / infinity),
        "lr": infinity.new_full(infinity.shape, 0.1),
        "preconditioner_lr": infinity.new_full(infinity.shape, 0.3),
        "damping": infinity.new_full(infinity.shape, 1e-9),
        "seeds": torch.arange(num_replicas),
        **changes,
    }
    return Psgd(batch_size=4, preconditioner=form, rank=6, layout=layout, **keys)


@dataclass(frozen=True)
class Gradient:
    loss: Tensor
    gradient: Tensor
    flow: None = None


@dataclass(frozen=True)
class Quadratic:
    """Half theta^T H theta, with H (R, P, P)."""

    hessian: Tensor

    def loss_and_gradient(self, theta, *, with_flow=False):
        gradient = self.hessian_product(theta, theta)
        return Gradient((theta * gradient).sum(1) / 2, gradient)

    def hessian_product(self, theta, vector):
        return torch.einsum("rij,rj->ri", self.hessian, vector)


def orthogonal(size, generator):
    return torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=F64))[0]


def symmetric(values, generator):
    """A matrix with these eigenvalues and random eigenvectors."""
    basis = orthogonal(len(values), generator)
    return basis @ torch.diag(torch.tensor(values, dtype=F64)) @ basis.T


def steps_on(optimizer, objective, num_updates, theta):
    """The steps that the optimizer would take from theta, after a fit of this many updates there; (updates, R, P)."""
    state, steps = optimizer.initial_state(theta), []
    for update in range(num_updates):
        result = optimizer.update(theta, state, update, lambda stream, size: objective)
        steps.append((result.theta - theta) / optimizer.lr)
        state = result.state
    return torch.stack(steps)


@every_form
def test_the_fit_converges_to_the_newton_step_on_a_quadratic(form):
    generator = torch.Generator().manual_seed(1)
    small, large = ([symmetric(values, generator) for _ in range(2)] for values in ((1, 4), (0.5, 1, 3)))
    hessian = torch.stack([torch.kron(a, b) for a, b in zip(small, large, strict=True)])
    theta = torch.randn(2, 6, generator=generator, dtype=F64)
    steps = steps_on(psgd(form, {"weight": (2, 3)}), Quadratic(hessian), 400, theta)
    assert_close(steps[-1], -theta, relative=1e-3)  # the minimum lies at 0


@every_form
def test_negative_curvature_does_not_attract(form):
    """On a saddle the step is that of the absolute Hessian; the fit is noisy there, so the mean is compared."""
    hessian = torch.diag_embed(torch.tensor([[2.0, -0.5, 1.0], [-3.0, -1.0, 0.3]], dtype=F64))
    theta = torch.tensor([[1.0, -2.0, 3.0], [2.0, 1.0, 1.0]], dtype=F64)
    optimizer = psgd(form, {"weight": (3,)}, preconditioner_lr=column(0.03, 0.03))
    mean = steps_on(optimizer, Quadratic(hessian), 500, theta)[150:].mean(0)
    assert_close(mean, -theta * hessian.diagonal(dim1=1, dim2=2).sign(), relative=0.25)


def test_damping_bounds_the_preconditioner():
    """Where there is no curvature, M is near the inverse of the damping."""
    theta = torch.ones(2, 3, dtype=F64)
    optimizer = psgd("low_rank", {"weight": (3,)}, damping=column(0.1, 0.01), preconditioner_lr=column(0.03, 0.03))
    state = optimizer.initial_state(theta)
    flat, sizes = Quadratic(torch.zeros(2, 3, 3, dtype=F64)), []
    for update in range(300):
        state = optimizer.update(theta, state, update, lambda stream, size: flat).state
        sizes.append(optimizer._form.precondition({k: v for k, v in state.items() if k != "mean"}, theta))
    assert_close(torch.stack(sizes)[100:].mean(0), theta / optimizer.damping, relative=0.25)


def on_a_net(form):
    """Three replicas of a small net on xor, with hyperparameters of their own."""
    model, seeds = SimpleRnn(2, 1, 4), [0, 1, 2]
    problem = Problem(Xor(12), Engine(model, dtype=F64), seeds)
    scales = {"input_scale": 0.5, "output_scale": 0.5, "bias_scale": 0.1, "initial_state_scale": 0.1}
    theta = draw_parameters(model, [OrthogonalInit(**scales)] * 3, seeds, problem.engine)
    layout = {name: parameter.shape for name, parameter in model.layout.items()}
    changes = {
        "weight_decay": column(0.0, 0.1, 0.0),
        "momentum": column(0.0, 0.5, 0.9),
        "step_clip_norm": column(torch.inf, 1.0, 0.01),
        "damping": column(1e-3, 1e-6, 1e-6),
    }
    return OptimizerCase(psgd(form, layout, 3, **changes), problem, theta, num_updates=6)


@every_form
@pytest.mark.parametrize("law", OPTIMIZER_LAWS, ids=lambda law: law.statement)
def test_laws(form, law):
    law.check(on_a_net(form))


@every_form
def test_an_update_reports_its_product_and_clips_the_step(form):
    case = on_a_net(form)
    update = case.run(1)
    assert update.products.tolist() == [1, 1, 1]
    for passes in (update.sequences, update.forward_passes, update.backward_passes):
        assert passes.tolist() == [12, 12, 12]  # 4 sequences: the gradient, and two passes of the product
    steps = (update.theta - case.theta).norm(dim=1)
    assert steps[2] == pytest.approx(0.1 * 0.01)


@every_form
def test_a_diverged_replica_leaves_the_others_as_they_are(form):
    case = on_a_net(form)
    spoiled = case.theta.clone()
    spoiled[1] = torch.nan
    update = replace(case, theta=spoiled).run()
    assert update.theta[1].isnan().all()
    assert torch.equal(update.theta[[0, 2]], case.run().theta[[0, 2]])


def test_other_forms_are_refused():
    with pytest.raises(ValueError, match="preconditioner must be low_rank or kronecker"):
        psgd("dense", {})
