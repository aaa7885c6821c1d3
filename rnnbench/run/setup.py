"""The objects of a batched run, built once and checked against this machine."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rnnbench.config.build import Built, build
from rnnbench.config.errors import ConfigError
from rnnbench.config.schema import Config
from rnnbench.objective.engine import Engine
from rnnbench.run.machine import check_backend, check_graphs, check_memory, resolve_device
from rnnbench.run.rehearsal import rehearse
from rnnbench.training.problem import draw_parameters
from rnnbench.training.replica import Snapshot
from rnnbench.training.world import ALONE, World


@dataclass(frozen=True)
class RunSetup:
    """The objects of a batched run that this machine can train.

    Attributes:
        config: Configuration of the first replica; the others differ from it in per-replica keys only.
        built: Task, model, inits, optimizer and probes.
        device: Device of all tensors.
        world: The processes that train the run together.
        backend: Name of the backend of the model, for messages.
        captures: Whether updates are captured as CUDA graphs.
        num_bytes: Estimate of the memory that the run needs; 0: not estimated yet.
    """

    config: Config
    built: Built
    device: torch.device
    world: World
    backend: str
    captures: bool
    num_bytes: int = 0

    @property
    def dtype(self) -> torch.dtype:
        """Type of the parameters and batches."""
        dtype: torch.dtype = getattr(torch, self.config.dtype)
        return dtype

    def fitted(self, num_replicas: int) -> "RunSetup":
        """The same objects, after a check that a number of replicas fits into memory.

        Raises:
            NotEnoughMemoryError: Memory is too small.
        """
        return replace(self, num_bytes=check_memory(self.config, self.built, num_replicas, self.device))

    def first_theta(self, seeds: Sequence[int], snapshot: Snapshot | None, engine: Engine) -> Tensor:
        """The parameters from which the run continues, (R, P): drawn, or those of a snapshot."""
        if snapshot is None:
            return draw_parameters(self.built.model, self.built.inits, seeds, engine)
        return snapshot.theta.to(engine.device, engine.dtype)


def set_up(
    configs: Sequence[Config], world: World = ALONE, *, min_replicas: int | None = None, starts: bool = True
) -> RunSetup:
    """Build a batched run, and check that this machine can train it; nothing is written.

    Args:
        configs: One validated configuration per replica; they differ in per-replica keys only.
        world: The processes that train it together.
        min_replicas: Number of replicas that must fit into memory together, if the run may be split; None: all.
        starts: Whether the run makes its initial parameters; one that is resumed has its parameters in a checkpoint.

    Raises:
        ConfigError: The configurations differ in a shared key, a class cannot be built from its keys, the initial
            parameters cannot be made, the device does not exist or cannot run the model, a batch has fewer sequences
            than there are processes, memory is too small (`NotEnoughMemoryError`), or a class of the user's own fails
            at its first use.
    """
    config = configs[0]
    device, built = device_of(config.device, world), build(configs)
    if starts:
        _check_inits(built)
    _check_shares(built, world)
    backend = check_backend(config, built, device)
    captures = check_graphs(config, built, device, world)
    setup = RunSetup(config, built, device, replace(world, device=device), backend, captures)
    setup = setup.fitted(len(configs) if min_replicas is None else min_replicas)
    rehearse(built, setup.dtype, starts=starts)
    return setup


def device_of(name: str, world: World) -> torch.device:
    """The device that `device` names; under torchrun a GPU for each process, since NCCL lets no two share one.

    Raises:
        ConfigError: It is not there.
    """
    device = resolve_device(name)
    if world.size == 1 or device.type != "cuda":
        return device
    if name.startswith("cuda:"):
        raise ConfigError(f"device={name} is one GPU, but each process of torchrun needs its own; use device=cuda")
    place, num_processes = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    count = torch.cuda.device_count()
    if num_processes > count:
        raise ConfigError(
            f"device={name}: torchrun has started {num_processes} processes here, but the number of GPUs is {count}; "
            f"use --nproc-per-node={count} or device=cpu"
        )
    return torch.device("cuda", place)


def _check_inits(built: Built) -> None:
    """Check that every initialization can make the parameters of the model."""
    for init in {id(init): init for init in built.inits}.values():
        try:
            init.check(built.model)
        except ValueError as error:
            raise ConfigError(str(error)) from error


def _check_shares(built: Built, world: World) -> None:
    """Check that every process gets a share of every batch."""
    for key, size in built.optimizer.batch_sizes.items():
        if size < world.size:
            raise ConfigError(f"optim.{key}={size} cannot be shared by {world.size} processes")
