"""The part of a run over several processes that those beside the first one have: they compute, and record nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rnnbench.config.build import build
from rnnbench.config.schema import Config
from rnnbench.exit_status import OK, of_signal
from rnnbench.machine import prepare_arithmetic, resolve_device, resolve_threads
from rnnbench.objective.engine import Engine
from rnnbench.optim.base import Update
from rnnbench.probes.base import View
from rnnbench.session import plan_of
from rnnbench.training.loop import Training
from rnnbench.training.problem import Problem, draw_parameters
from rnnbench.training.replica import Snapshot
from rnnbench.training.state import TrainingState
from rnnbench.training.world import SharedInterrupt, World


class NullListener:
    """Recorder and listener of a run that another process records: does nothing."""

    num_logged = 0

    def observe(
        self,
        update: int,
        replicas: Sequence[int],
        values: Mapping[str, Tensor],
        make_view: Callable[[int], View] | None,
    ) -> None:
        """No row."""

    def settle(self, update: int, statuses: Sequence[Any], solved: Sequence[bool]) -> None:
        """No aggregate."""

    def broken(self) -> dict[int, str]:
        """No records that could be broken."""
        return {}

    def on_update(self, training: TrainingState, update: Update | None) -> None:
        """No progress."""

    def message(self, text: str) -> None:
        """No message."""

    def ended(self, training: TrainingState, replicas: Sequence[int]) -> None:
        """No summary."""

    def checkpoint(self, training: TrainingState) -> None:
        """No checkpoint."""


def follow(config: Config, snapshot: Snapshot | None, world: World) -> int:
    """Train with the first process, on this one's share of every batch, until the run ends.

    Args:
        config: Of the run.
        snapshot: Where it goes on; None: it begins.
        world: The processes.

    Returns:
        The exit status: 0 ended as planned, 128 + N ended by signal N.
    """
    device = resolve_device(config.device)
    built = build([config])
    prepare_arithmetic()
    engine = Engine(built.model, resolve_threads(config, built, 1, device), device, getattr(torch, config.dtype))
    problem = Problem(built.task, engine, [config.seed], world)
    theta = draw_parameters(built.model, built.inits, problem.seeds, engine)
    listener = NullListener()
    with SharedInterrupt(world) as interrupt:
        training = Training(problem, built.optimizer, theta, plan_of(config), listener, listener, interrupt)
        if snapshot is not None:
            training.restore(snapshot)
        training.run()
    engine.close()
    return OK if interrupt.signal is None else of_signal(interrupt.signal)
