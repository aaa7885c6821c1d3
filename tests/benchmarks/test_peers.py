"""Every row of the engine's table computes what it says."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import engine, peers_optional
from rnnbench.bench import ours
from rnnbench.bench.case import MismatchError, check_agreement, make_case
from rnnbench.bench.options import Shape
from rnnbench.bench.peers_torch import rows_of, weights_of

# torch.func imports what torch has deprecated itself
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

SHAPES = [Shape(1, 4, 5, 6), Shape(3, 4, 5, 6), Shape(2, 1, 1, 1)]
ALL = {
    "gradient": [way for way in engine.ways()["gradient"]],
    "product": [way for way in engine.ways()["product"]],
}
WAYS = [pytest.param(section, way, id=way.name) for section, ways in ALL.items() for way in ways]
OPTIONAL = [
    pytest.param(module, way, section, id=way.name)
    for section, ways in (("gradient", peers_optional.GRADIENTS), ("product", peers_optional.PRODUCTS))
    for module, those in ways.items()
    for way in those
]


def plain_rows(case, section):
    """Gradient or Gauss-Newton product in float64 by autograd, the product from a dense Jacobian."""
    theta = case.theta.double().requires_grad_()

    def outputs(theta):
        weights = case.model.parameters(theta)
        hidden = weights["initial_state"].unsqueeze(1).expand(-1, case.shape.sequences, -1)
        for x in case.batch.inputs.double():
            pre = hidden @ weights["weight_hh"].mT + x @ weights["weight_ih"].mT + weights["bias"].unsqueeze(1)
            hidden = torch.tanh(pre)
        return hidden @ weights["weight_out"].mT + weights["bias_out"].unsqueeze(1)

    if section == "gradient":
        loss = (outputs(theta) - case.targets).square().sum(-1).mean(-1).sum()
        return torch.autograd.grad(loss, theta)[0]
    jacobian = torch.autograd.functional.jacobian(outputs, theta)  # (R, B, o, R, P)
    own = torch.stack([jacobian[r, :, :, r] for r in range(len(theta))]).flatten(1, 2)  # (R, B o, P)
    tangents = own @ case.vector.double().unsqueeze(-1)
    return (own.mT @ (2 / case.shape.sequences * tangents)).squeeze(-1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("section", "way"), WAYS)
def test_every_way_computes_the_same(section, way, shape):
    case = make_case(shape)
    computation = way.make(case, 2)
    result = computation.run()
    torch.testing.assert_close(computation.rows(result).double(), plain_rows(case, section), rtol=1e-4, atol=1e-5)
    computation.run()  # a second time, as in a measurement
    computation.close()


@pytest.mark.parametrize(("module", "way", "section"), OPTIONAL)
def test_what_is_not_installed_is_left_out(module, way, section):
    assert (way in ALL[section]) == (module not in peers_optional.missing_modules())


def test_weights_are_those_of_theta():
    for shape in SHAPES:
        case = make_case(shape)
        torch.testing.assert_close(rows_of(weights_of(case, case.theta)), case.theta, rtol=0, atol=0)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: rows * 1.01,
        lambda rows: rows.flip(1),
        lambda rows: rows.flip(0),
        lambda rows: rows[:, :-1],
        lambda rows: torch.where(rows == rows[:, -1:], 0.0, rows),  # one parameter's part is missing
        lambda rows: torch.full_like(rows, torch.nan),
    ],
)
def test_a_wrong_result_is_refused(spoil):
    case = make_case(Shape(2, 3, 4, 5))
    computation = ours.GRADIENT.make(case, 1)
    rows = computation.rows(computation.run())
    check_agreement("itself", case, rows, rows)
    with pytest.raises(MismatchError, match="the wrong one"):
        check_agreement("the wrong one", case, spoil(rows), rows)


@given(st.floats(-4e-4, 4e-4))
def test_rounding_is_allowed(error):
    case = make_case(Shape(1, 3, 4, 5))
    rows = torch.ones_like(case.theta)
    check_agreement("a rounded one", case, rows * (1 + error), rows)


def test_gradients_of_a_case_vanish_slowly():
    case = make_case(Shape(1, 2, 100, 50))
    assert torch.equal(case.theta, make_case(Shape(1, 2, 100, 50)).theta)
    computation = ours.GRADIENT.make(case, 1)
    norms = computation.run().trace.state_gradients(2).norm(dim=-1)
    assert 1e-15 < norms[0].max() < 1e-3 * norms[-1].max()
