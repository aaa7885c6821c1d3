"""A Hessian-free with every choice at its default, and problems for it."""

import torch

from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Gradient
from rnnbench.optim.hessian_free import HessianFree
from rnnbench.tasks.adding import Adding
from rnnbench.training.problem import Problem


def column(*values):
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def hessian_free(num_replicas=1, **changes):
    def same(value):
        return column(*[value] * num_replicas)

    defaults = {
        "gradient_batch_size": 40,
        "curvature_batch_size": 20,
        "weight_decay": same(0.0),
        "reduction_ratio": "damped",
        "rejected_damping": "ratio",
        "structural_normalization": "batch",
        "preconditioner": "none",
        "backtracking": "walk_back",
        "backtracking_batch": "fresh",
        "line_search_batch": "fresh",
        "line_search_sufficient_decrease": same(0.0),
        "damping": same(0.1),
        "structural_damping": same(0.3),
        "max_cg_iterations": 50,
        "max_cg_factor": 1,
        "warm_start_decay": same(0.925),
    }
    return HessianFree(**{**defaults, **changes})


class Quadratic:
    """loss = x^T A x / 2 - b^T x, per replica; its own Gauss-Newton matrix is A."""

    def __init__(self, matrix, b, *, scale=1.0, size=1, squares=None):
        self.matrix, self.b, self.scale, self.size, self.squares = matrix, b, scale, size, squares
        self.group_sizes = [2, b.shape[1] - 2]

    def loss(self, theta):
        x = theta.double()
        return self.scale * (0.5 * torch.einsum("ri,rij,rj->r", x, self.matrix, x) - (self.b * x).sum(1))

    def loss_and_gradient(self, theta):
        return Gradient(
            self.loss(theta), torch.einsum("rij,rj->ri", self.matrix, theta) - self.b, None, None, 1, None, theta
        )

    def mean_squared_gradient(self, theta):
        return self.squares

    def rows(self, start, stop):
        return self

    def linearize(self, theta, structural_damping=None, normalization=None):
        quadratic = self

        class Operator:
            loss = quadratic.loss(theta)
            shares_blocks = False

            def product(self, vector, active=None):
                return torch.einsum("rij,rj->ri", quadratic.matrix, vector)

            def quadratic_form(self, vector):
                return torch.einsum("ri,rij,rj->r", vector, quadratic.matrix, vector)

        return Operator()


def problem(num_replicas=2, size=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(num_replicas, size, size, generator=generator, dtype=torch.float64)
    return root @ root.mT + torch.eye(size), torch.randn(num_replicas, size, generator=generator, dtype=torch.float64)


def adding_problem(seeds, dtype=torch.float64):
    """Adding over ten steps for a net of eight units, and the parameters of each seed, (R, P)."""
    model = SimpleRnn(2, 1, 8)
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        rows.append(0.4 * torch.randn(model.num_parameters, generator=generator, dtype=torch.float64))
    task = Adding(sequence_length=10, variant="hf11")
    return Problem(task, Engine(model, dtype=dtype), seeds), torch.stack(rows).to(dtype)


def train(num_updates, seeds, optimizer, dtype=torch.float64):
    problem, theta = adding_problem(seeds, dtype)
    state, updates = optimizer.initial_state(theta), []
    for k in range(num_updates):
        update = optimizer.update(theta, state, k, problem.draw(k))
        theta, state = update.theta, update.state
        updates.append(update)
    return theta, state, updates
