"""First-order methods equal torch.optim, replica by replica."""

from dataclasses import replace

import pytest
import torch
from first_order_cases import INFINITY, NEVER, OPTIMIZERS, column, loss_function, start, trajectory
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rnnbench.optim.adam import Adam
from rnnbench.optim.nag import Nag
from rnnbench.optim.sgd import Sgd


def torch_steps(build, optimizer, path):
    """Where torch.optim and autograd go from each place of a path of `trajectory`, replica by replica.

    Each step begins where ours did: left to itself, Adam's path with a first beta near 0 moves by 1e-5 in 50 updates
    when its start moves by 1e-16. What torch.optim keeps from step to step is its own throughout.

    Returns:
        (num_updates, R, P).
    """
    before = torch.cat([start().unsqueeze(0), path[:-1]])
    replicas = [_torch_steps(build, optimizer, replica, before[:, replica]) for replica in range(path.shape[1])]
    return torch.stack(replicas, dim=1)


def _torch_steps(build, optimizer, replica, before):
    own = optimizer.replicas(torch.tensor([replica]))
    values = {name: value.squeeze().tolist() for name, value in vars(own).items() if isinstance(value, Tensor)}
    parameter = before[0].clone().requires_grad_()
    reference = build([parameter], values)
    after = []
    for theta in before:
        with torch.no_grad():
            parameter.copy_(theta)
        reference.zero_grad()
        loss_function(parameter.unsqueeze(0)).sum().backward()
        if values["clip_norm"] < INFINITY:
            torch.nn.utils.clip_grad_norm_([parameter], values["clip_norm"])
        if values["clip_value"] < INFINITY:
            torch.nn.utils.clip_grad_value_([parameter], values["clip_value"])
        reference.step()
        after.append(parameter.detach().clone())
    return torch.stack(after)


def torch_sgd(parameters, values, *, nesterov=False):
    return torch.optim.SGD(
        parameters,
        lr=values["lr"],
        momentum=values["momentum"],
        weight_decay=values["weight_decay"],
        nesterov=nesterov,
    )


def torch_nag(parameters, values):
    return torch_sgd(parameters, values, nesterov=True)


def torch_adam(parameters, values):
    return torch.optim.Adam(
        parameters,
        lr=values["lr"],
        betas=tuple(values["betas"]),
        eps=values["eps"],
        weight_decay=values["weight_decay"],
    )


def rows(strategy):
    return st.tuples(strategy, strategy, strategy).map(lambda values: column(*values))


SHARED_ROWS = st.fixed_dictionaries(
    {
        "batch_size": st.just(1),
        "lr": rows(st.floats(1e-4, 0.2)),
        "weight_decay": rows(st.sampled_from([0.0, 1e-3, 0.2])),
        "clip_norm": st.just(NEVER),
        "clip_value": rows(st.sampled_from([INFINITY, 0.1, 1.0])),
        "information_flow": st.just(column(0.0, 0.0, 0.0)),
    }
)
MOMENTUM_ROWS = rows(st.floats(0.01, 0.99))
TORCH_CASES = {
    "sgd": (
        st.builds(lambda shared, momentum: Sgd(**shared, momentum=momentum), SHARED_ROWS, MOMENTUM_ROWS),
        torch_sgd,
    ),
    "nag": (
        st.builds(
            lambda shared, momentum: Nag(
                **shared, form="torch", momentum=momentum, initial_momentum=0 * momentum, initial_momentum_updates=0
            ),
            SHARED_ROWS,
            MOMENTUM_ROWS,
        ),
        torch_nag,
    ),
    "adam": (
        st.builds(
            lambda shared, first, second, eps: Adam(**shared, betas=torch.cat([first, second], 1), eps=eps),
            SHARED_ROWS,
            rows(st.floats(0.0, 0.99)),
            rows(st.floats(0.9, 0.999)),
            rows(st.sampled_from([1e-8, 1e-3, 1.0])),
        ),
        torch_adam,
    ),
}


@pytest.mark.parametrize("name", TORCH_CASES)
@given(data=st.data())
@settings(max_examples=8)
def test_equals_torch_optim_over_50_updates_with_other_hyperparameters_in_every_replica(name, data):
    strategy, build = TORCH_CASES[name]
    optimizer = data.draw(strategy)
    path = trajectory(optimizer, start())
    torch.testing.assert_close(path, torch_steps(build, optimizer, path), rtol=0, atol=1e-12)


def test_adam_equals_torch_where_betas_are_zero():
    betas = torch.tensor([[0.0, 0.9], [0.9, 0.0], [0.0, 0.0]], dtype=torch.float64)
    optimizer = replace(OPTIMIZERS["adam"], clip_norm=NEVER, betas=betas)
    path = trajectory(optimizer, start())
    torch.testing.assert_close(path, torch_steps(torch_adam, optimizer, path), rtol=0, atol=1e-12)


def test_equals_torch_optim_under_clipping_by_norm():
    path = trajectory(OPTIMIZERS["sgd"], start())
    # torch adds 1e-6 to the norm: a clipped gradient, of norm 0.5 here, differs by up to 2e-6 relative.
    torch.testing.assert_close(path[:, 1], torch_steps(torch_sgd, OPTIMIZERS["sgd"], path)[:, 1], rtol=0, atol=1e-5)
