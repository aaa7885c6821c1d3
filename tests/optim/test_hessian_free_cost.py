"""What an update of Hessian-free says that it cost, against a count of what it asked for."""

import torch
from hessian_free_cases import Quadratic, hessian_free, problem

THETA = torch.linspace(-1, 2, 6, dtype=torch.float64).unsqueeze(0)


class Counted(Quadratic):
    """A stand-in for a batch that counts what is asked of it."""

    def __init__(self, counts, *arguments, **sizes):
        super().__init__(*arguments, **sizes)
        self.counts = counts

    def add(self, **passes):
        for name, number in passes.items():
            self.counts[name] += number * self.size

    def loss(self, theta):
        self.add(forward=1)
        return super().loss(theta)

    def loss_and_gradient(self, theta):
        self.add(backward=1)  # the loss inside counts the forward pass
        return super().loss_and_gradient(theta)

    def mean_squared_gradient(self, theta):
        self.add(forward=1, backward=1)
        return torch.ones_like(theta)

    def rows(self, start, stop):
        return Counted(self.counts, self.matrix, self.b, size=stop - start)

    def linearize(self, theta, structural_damping=None, normalization=None):
        operator = super().linearize(theta)  # its loss counts the forward pass
        product, form = operator.product, operator.quadratic_form

        def counted(vector, active=None):
            self.add(forward=1, backward=1)
            self.counts["products"] += 1
            return product(vector)

        operator.product = counted
        operator.quadratic_form = lambda vector: self.add(forward=1) or form(vector)
        return operator


def test_cost_is_what_was_asked_for():
    matrix, b = problem(1)
    for changes in (
        {},
        {"backtracking": "none"},
        {"line_search_batch": "both"},
        {"backtracking": "best"},
        {"preconditioner": "diagonal", "reduction_ratio": "undamped"},
        {"backtracking_batch": "gradient", "line_search_batch": "curvature"},
    ):
        optimizer = hessian_free(1, **changes)

        counts = {"forward": 0, "backward": 0, "products": 0}

        def draw(stream, size, counts=counts):
            return Counted(counts, matrix, b, size=size)

        update = optimizer.update(THETA, optimizer.initial_state(THETA), 0, draw)
        found = {name: getattr(update, f"{name}_passes").item() for name in ("forward", "backward")}
        # The last iterate is judged even where walking back ends at the first comparison.
        assert {**found, "products": update.products.item()} == counts, changes
        assert update.sequences.item() == found["backward"] + 20
