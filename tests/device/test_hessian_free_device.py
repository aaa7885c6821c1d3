"""Hessian-free for torch modules on a device other than the CPU."""

import torch

import rnnbench


def test_steps_on_a_device_are_those_on_the_cpu(device):
    losses = {}
    for place in ("cpu", device):
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double()
        inputs, targets = torch.randn(20, 3).double(), torch.randn(20, 2).double()
        module.to(place)
        optimizer = rnnbench.HessianFree(module, torch.nn.MSELoss())
        batch = inputs.to(place), targets.to(place)
        losses[place] = [optimizer.step(batch).loss for _ in range(3)]
    assert torch.allclose(torch.tensor(losses["cpu"]), torch.tensor(losses[device]), rtol=1e-6)
