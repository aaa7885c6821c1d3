"""Gradients and Gauss-Newton products as rnnbench computes them."""

from rnnbench.bench.case import Case, Computation, Way
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective


def objective_of(case: Case, threads: int) -> Objective:
    """Make the objective of a case, with a number of threads."""
    return Objective(Engine(case.model, threads, dtype=case.theta.dtype), case.loss, case.batch)


def our_gradient(case: Case, threads: int) -> Computation:
    """Prepare loss and gradient."""
    objective = objective_of(case, threads)
    return Computation(
        lambda: objective.loss_and_gradient(case.theta),
        lambda result: result.gradient,
        close=objective.engine.close,
    )


def our_product(case: Case, threads: int) -> Computation:
    """Prepare one Gauss-Newton product without structural damping; the linearization is computed beforehand."""
    objective = objective_of(case, threads)
    curvature = objective.linearize(case.theta)
    return Computation(lambda: curvature.product(case.vector), lambda product: product, close=objective.engine.close)


def our_linearization(case: Case, threads: int) -> Computation:
    """Prepare the linearization, which is computed once before any number of products."""
    objective = objective_of(case, threads)
    return Computation(
        lambda: objective.linearize(case.theta),
        lambda curvature: curvature.product(case.vector),
        close=objective.engine.close,
    )


GRADIENT = Way("rnnbench gradient", our_gradient, threading="own")
PRODUCT = Way("rnnbench Gauss-Newton product", our_product, threading="own")
LINEARIZATION = Way("rnnbench linearization", our_linearization, threading="own")
