"""Each rule of Hessian-free by hand: damping, line search, backtracking."""

import pytest
import torch
from hessian_free_cases import column

from rnnbench.objective.conjugate_gradient import CgResult, Iterate
from rnnbench.optim.backtracking import best_iterate, last_iterate, walk_back
from rnnbench.optim.damping import LARGEST_CHANGE, LARGEST_RATIO, DampingRule, finite_change, reduction_ratio
from rnnbench.optim.line_search import LineSearch


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


NO = torch.tensor([False])


@pytest.mark.parametrize(
    ("ratio", "factor"), [(0.24, 1.5), (0.26, 1.0), (0.74, 1.0), (0.76, 2 / 3), (-5.0, 1.5), (-LARGEST_RATIO, 1.5)]
)
def test_damping_rule(ratio, factor):
    assert DampingRule()(column(0.2), numbers(ratio), NO, NO).item() == pytest.approx(0.2 * factor)
    assert DampingRule()(column(0.2), numbers(ratio), ~NO, NO).item() == 0.2
    assert DampingRule()(column(0.2), numbers(ratio), NO, ~NO).item() == pytest.approx(0.2 * 1.5)


def test_damping_has_thresholds_of_its_own():
    strict = DampingRule(low_ratio=0.5, high_ratio=0.9)
    found = [strict(column(1.0), numbers(ratio), NO, NO).item() for ratio in (0.4, 0.6, 0.8, 1.0)]
    assert found == pytest.approx([1.5, 1, 1, 2 / 3])


def test_damping_stays_inside_its_limits():
    limited = DampingRule(lowest=0.15, highest=0.25)
    assert limited(column(0.2), numbers(2.0), NO, NO).item() == 0.15
    assert limited(column(0.2), numbers(0.0), NO, NO).item() == 0.25


def test_reduction_ratio_is_finite_and_never_rewards_a_model_without_a_fall():
    nan, inf = torch.nan, torch.inf
    actual = finite_change(numbers(-2, 1, nan, inf, -1, 1, -1e-3, 0))
    predicted = numbers(-4, -4, -1, -1, 2, 2, -1e-300, 0)
    ratio = reduction_ratio(actual, predicted).tolist()
    assert ratio == [0.5, -0.25, -LARGEST_RATIO, -LARGEST_RATIO, -1, -1, LARGEST_RATIO, 0]
    assert actual[2] == actual[3] == LARGEST_CHANGE
    assert reduction_ratio(numbers(-1.0), numbers(nan)).item() <= 0


class Valley:
    """A loss of one parameter by a table: for rules that look at losses only."""

    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, theta):
        self.calls += 1
        return torch.stack([torch.as_tensor(self.function(r, x.item())) for r, x in enumerate(theta[:, 0])]).double()


def search(loss, num_replicas, sufficient_decrease=0.0, slope=-1.0, dtype=torch.float64, max_steps=50):
    theta = torch.zeros(num_replicas, 1, dtype=dtype)
    line_search = LineSearch(column(*[sufficient_decrease] * num_replicas), max_steps=max_steps)
    return line_search(loss, theta, theta + 1, torch.full((num_replicas,), slope).double())


def test_line_search_takes_the_first_size_that_lowers_the_loss():
    # Replica 0 improves at once, replica 1 below a step of 0.6, replica 2 never, replica 3 meets NaN first.
    def function(replica, x):
        return [-x, x if x > 0.6 else -x, x, float("nan") if x > 0.9 else -x][replica]

    sizes, tried = search(Valley(function), 4)
    assert sizes.tolist() == pytest.approx([1.0, 0.8**3, 0.0, 0.8])
    assert tried.tolist() == [1, 4, 50, 2]


def test_line_search_ends():
    loss = Valley(lambda replica, x: x)
    sizes, _ = search(loss, 1, max_steps=7)
    assert sizes.item() == 0
    assert loss.calls == 8


def test_armijo_asks_for_a_share_of_the_slope():
    # The loss 1.1 x^2 - x falls by size - 1.1 size^2 where the slope is -1: a share c is reached below (1 - c) / 1.1.
    for share in (0.0, 0.3, 0.6):
        sizes, _ = search(Valley(lambda replica, x: 1.1 * x * x - x), 1, share)
        assert sizes.item() == pytest.approx(next(0.8**k for k in range(1, 50) if 0.8**k < (1 - share) / 1.1))
    # A step that goes uphill in the model is not asked to rise.
    sizes, _ = search(Valley(lambda replica, x: 1e-3 * x), 1, 0.3, slope=1.0)
    assert sizes.item() == 0


def test_a_full_step_within_rounding_is_accepted():
    sizes, _ = search(Valley(lambda replica, x: 1.0 + (5e-8 if x else 0)), 1, dtype=torch.float32)
    assert sizes.item() == 1
    sizes, _ = search(Valley(lambda replica, x: 1.0 + (5e-7 if x else 0)), 1, dtype=torch.float32)
    assert sizes.item() == 0


def solved_at(iterations, num_replicas):
    """Iterates x = 1, 2, ... kept at these iterations; quadratic -10 x."""
    iterates = []
    for x, reached in enumerate(iterations, start=1):
        each = numbers(*reached)
        iterates.append(
            Iterate(torch.full((num_replicas, 1), float(x)).double(), torch.full_like(each, -10.0 * x), each)
        )
    return CgResult(iterates, iterates[-1].iteration, torch.zeros(num_replicas))


LOSSES = [{1: 0, 2: 9, 3: 5, 4: 1}, {1: 3, 2: 1, 3: 2, 4: 3}, {1: 0, 2: 9, 3: 1, 4: 2}]


def judge(step):
    return torch.stack([torch.as_tensor(LOSSES[r][round(x.item())]) for r, x in enumerate(step[:, 0])]).double()


def test_backtracking_walks_back_while_the_loss_falls():
    # Replica 0 stays at 4, replica 1 goes to 2, replica 2 to 3: a better iterate behind a worse one is not reached.
    chosen = walk_back(judge, solved_at([(k, k, k) for k in range(1, 5)], 3), torch.float64)
    assert chosen.step.flatten().tolist() == [4, 2, 3]
    assert chosen.quadratic.tolist() == [-40, -20, -30]
    assert chosen.num_given_up.tolist() == [0, 2, 1]
    assert chosen.num_judged.tolist() == [2, 4, 3]


def test_best_looks_at_all_that_were_kept():
    chosen = best_iterate(judge, solved_at([(k, k, k) for k in range(1, 5)], 3), torch.float64)
    assert chosen.step.flatten().tolist() == [1, 2, 1]
    assert chosen.quadratic.tolist() == [-10, -20, -10]
    assert chosen.num_given_up.tolist() == [3, 2, 3]
    assert chosen.num_judged.tolist() == [4, 4, 4]


def test_none_takes_the_last():
    chosen = last_iterate(solved_at([(k, k, k) for k in range(1, 5)], 3), torch.float32)
    assert chosen.step.flatten().tolist() == [4, 4, 4]
    assert chosen.step.dtype == torch.float32
    assert (chosen.num_judged == 0).all()


@pytest.mark.parametrize("choose", [walk_back, best_iterate])
def test_iterates_after_a_replicas_own_end_are_not_its_own(choose):
    """Replica 1 stopped at iteration 2, while the other went on: the last iterate, shown again, is passed over."""
    iterates = [
        Iterate(numbers(1, 1).unsqueeze(1), numbers(-1, -1), numbers(1, 1)),
        Iterate(numbers(2, 2).unsqueeze(1), numbers(-2, -2), numbers(2, 2)),
        Iterate(numbers(3, 2).unsqueeze(1), numbers(-3, -2), numbers(3, 2)),
    ]
    table = {1: 0.0, 2: 5.0, 3: 9.0}
    seen = choose(
        lambda step: numbers(*[table[round(x)] for x in step.flatten().tolist()]),
        CgResult(iterates, iterates[-1].iteration, torch.zeros(2)),
        torch.float64,
    )
    assert seen.step.flatten().tolist() == [1, 1]
    assert seen.num_given_up.tolist() == [2, 1]
    assert seen.num_judged.tolist() == [3, 2]


@pytest.mark.parametrize("choose", [walk_back, best_iterate])
def test_rounding_gives_no_iterate_up_and_an_infinite_loss_does(choose):
    solved = solved_at([(1, 1), (2, 2)], 2)
    values = {1.0: numbers(1 - 5e-8, 3.0), 2.0: numbers(1.0, torch.nan)}
    chosen = choose(lambda step: values[step[0].item()], solved, torch.float32)
    assert chosen.step.flatten().tolist() == [2, 1]
