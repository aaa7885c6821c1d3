"""What the processes of a run exchange lies on the run's device: NCCL takes no other tensors."""

import torch.distributed as distributed

from rnnbench.training.world import World


def test_numbers_are_exchanged_on_the_device(simulated, monkeypatch):
    found = []
    for name in ("all_reduce", "broadcast"):
        monkeypatch.setattr(distributed, name, lambda tensor, *_: found.append(tensor.device))
    world = World(0, 2, simulated.DEVICE)
    assert world.largest(3) == 3
    assert world.first(0.1) == 0.1
    assert found == [simulated.DEVICE] * 2
