"""Second derivatives by pre-activations against autograd, and in a closed form."""

import pytest
import torch

from rnnbench.diagnostics.state_curvature import preactivation_hessians, through_weight

NUM_STEPS, NUM_REPLICAS, NUM_SEQUENCES, SIZE = 4, 2, 3, 3


@pytest.fixture
def net():
    """W, drives of the pre-activations, and the quadratic loss |A h_T - y|^2 of the last state."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    weight, drives = normal(NUM_REPLICAS, SIZE, SIZE), normal(NUM_STEPS, NUM_REPLICAS, NUM_SEQUENCES, SIZE)
    return weight, drives, normal(NUM_REPLICAS, 2, SIZE), normal(NUM_REPLICAS, NUM_SEQUENCES, 2)


def outputs(net, r, k, added, at):
    """A h_T of one sequence, with something added to the pre-activation of step `at` (from 0)."""
    weight, drives, readout, _ = net
    state = torch.zeros(SIZE, dtype=torch.float64)
    for step in range(NUM_STEPS):
        state = torch.tanh(weight[r] @ state + drives[step, r, k] + (added if step == at else 0))
    return readout[r] @ state


def states_and_gradients(net):
    """h_t and dL/dh_t for t = 1 .. T, (T, R, b, n), by autograd."""
    weight, drives, readout, targets = net
    state = torch.zeros(NUM_REPLICAS, NUM_SEQUENCES, SIZE, dtype=torch.float64, requires_grad=True)
    states = []
    for drive in drives:
        state = torch.tanh(state @ weight.mT + drive)
        states.append(state)
    loss = (state @ readout.mT - targets).square().sum()
    return torch.stack(states).detach(), torch.stack(torch.autograd.grad(loss, states))


@pytest.mark.parametrize("with_bends", [True, False])
def test_equal_autograd_at_every_step(net, with_bends):
    weight, _, readout, targets = net
    states, gradients = states_and_gradients(net)
    slopes = 1 - states.square()
    bends = gradients * -2 * states * slopes if with_bends else None
    last = (2 * readout.mT @ readout).unsqueeze(1).expand(-1, NUM_SEQUENCES, -1, -1)
    found = list(preactivation_hessians(weight, slopes, bends, last))
    assert len(found) == NUM_STEPS
    nothing = torch.zeros(SIZE, dtype=torch.float64)
    for at, matrices in zip(reversed(range(NUM_STEPS)), found, strict=True):
        for r in range(NUM_REPLICAS):
            for k in range(NUM_SEQUENCES):
                z = lambda added, r=r, k=k, at=at: outputs(net, r, k, added, at)  # noqa: E731 # of this entry
                if with_bends:
                    expected = torch.autograd.functional.hessian(
                        lambda added, z=z, y=targets[r, k]: (z(added) - y).square().sum(), nothing
                    )
                else:
                    jacobian = torch.autograd.functional.jacobian(z, nothing)
                    expected = 2 * jacobian.mT @ jacobian
                assert torch.allclose(matrices[r, k], expected, rtol=1e-10, atol=1e-13)


def test_one_linear_unit_in_closed_form():
    weight, last = torch.tensor([[[0.5]]], dtype=torch.float64), torch.full((1, 1, 1, 1), 3.0, dtype=torch.float64)
    slopes = torch.ones(5, 1, 1, 1, dtype=torch.float64)
    found = [float(one) for one in preactivation_hessians(weight, slopes, None, last)]
    assert found == pytest.approx([3 * 0.25**lag for lag in range(5)])
    assert float(through_weight(torch.full((1, 1), 3.0, dtype=torch.float64), weight[0])) == 0.75
