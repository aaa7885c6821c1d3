"""First-order methods obey the laws of optimizers, report what they did, and never wait for the device."""

from dataclasses import replace

import pytest
import torch
from first_order_cases import (
    NEVER,
    OPTIMIZERS,
    SameForAll,
    column,
    draw,
    every_optimizer,
    loss_function,
    start,
    trajectory,
)
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from rnnbench.checks.optim_laws import OPTIMIZER_LAWS, OptimizerCase


@every_optimizer
def test_decreases_the_loss(optimizer):
    theta = start()
    after = trajectory(optimizer, theta)[-1]
    assert (loss_function(after) < loss_function(theta)).all()


@every_optimizer
def test_update_reports_what_it_did(optimizer):
    theta = start()
    result = optimizer.update(theta, optimizer.initial_state(theta), 0, draw)
    assert result.sequences.tolist() == [20.0] * 3
    assert result.products.tolist() == [0.0] * 3
    assert result.sequences.dtype == result.products.dtype == torch.float64
    torch.testing.assert_close(result.gradient.loss, loss_function(theta))
    raw = result.gradient.gradient
    assert torch.equal(result.clipped_gradient[0], raw[0])
    assert result.clipped_gradient[1].norm().item() == pytest.approx(0.5, rel=1e-14) != raw[1].norm().item()
    assert result.clipped_gradient[2].abs().max().item() == 0.1 < raw[2].abs().max().item()


@every_optimizer
@pytest.mark.parametrize("law", OPTIMIZER_LAWS, ids=lambda law: law.statement)
def test_laws(optimizer, law):
    law.check(OptimizerCase(optimizer, SameForAll(), start(), num_updates=20))


@every_optimizer
def test_theta_and_state_keep_the_type_of_theta(optimizer):
    theta = start(torch.float32)
    result = optimizer.update(theta, optimizer.initial_state(theta), 0, draw)
    assert result.theta.dtype == result.clipped_gradient.dtype == torch.float32
    for value in result.state.values():
        assert value.dtype == torch.float32


@every_optimizer
def test_float32_follows_float64(optimizer):
    exact = trajectory(optimizer, start())
    path = trajectory(optimizer, start(torch.float32))
    # 2^-24 of values of size 5, over 50 updates.
    torch.testing.assert_close(path.double(), exact, rtol=0, atol=2e-5)


def test_adams_first_step_in_float32_is_the_learning_rate_whatever_the_betas():
    betas = torch.tensor([[0.999, 0.99999], [0.9, 0.999], [0.0, 0.9999]], dtype=torch.float64)
    optimizer = replace(OPTIMIZERS["adam"], betas=betas, eps=column(1e-30, 1e-30, 1e-30), clip_norm=NEVER)
    theta = start(torch.float32)
    step, _ = optimizer.step(torch.full_like(theta, 0.5), 0 * theta, optimizer.initial_state(theta), 0)
    # A few roundings of float32; 1 - beta and 1 - beta^t, if made from a rounded beta, would be off by 1e-5 to 1e-2.
    torch.testing.assert_close(step, -optimizer.lr.float().expand_as(theta), rtol=1e-6, atol=0)


@every_optimizer
def test_replicas_gathers_every_tensor_in_order(optimizer):
    theta = start()
    optimizer.update(theta, optimizer.initial_state(theta), 0, draw)  # what it keeps between updates must not leak
    chosen = optimizer.replicas(torch.tensor([2, 0]))
    assert type(chosen) is type(optimizer)
    for name, value in vars(optimizer).items():
        if isinstance(value, Tensor):
            assert torch.equal(getattr(chosen, name), value[[2, 0]]), name
    for name in ("batch_size", "form", "initial_momentum_updates"):
        assert getattr(chosen, name, None) == getattr(optimizer, name, None)
    masked = optimizer.replicas(torch.tensor([True, False, True]))
    assert masked.lr.tolist() == optimizer.lr[[0, 2]].tolist()


class NoHostReads(TorchDispatchMode):
    """Refuses operations that hand a tensor's value to Python, for which a GPU would have to be waited for."""

    READS = (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero, torch.ops.aten.equal)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func.overloadpacket not in self.READS, func
        return func(*args, **(kwargs or {}))


@every_optimizer
def test_an_update_reads_no_value_on_the_host(optimizer):
    theta = start()
    state = optimizer.initial_state(theta)
    with NoHostReads():
        optimizer.update(theta, state, 0, draw)
    with NoHostReads(), pytest.raises(AssertionError, match="_local_scalar_dense"):
        theta[0, 0].item()
