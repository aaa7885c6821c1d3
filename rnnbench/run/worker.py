"""Workers: the processes of a distributed run besides the first one. They compute, but record nothing."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor
from typing_extensions import override

from rnnbench.exit_status import OK, of_signal
from rnnbench.objective.engine import Engine
from rnnbench.optim.base import Update
from rnnbench.probes.base import View
from rnnbench.records.summary import Status
from rnnbench.run.machine import prepare_arithmetic, resolve_threads
from rnnbench.run.schedule import curriculum, training_plan
from rnnbench.run.setup import RunSetup
from rnnbench.training.listener import RunListener
from rnnbench.training.loop import Training
from rnnbench.training.problem import Problem
from rnnbench.training.recorder import RowRecorder
from rnnbench.training.replica import Snapshot
from rnnbench.training.state import TrainingState
from rnnbench.training.world import SharedInterrupt


class NullRecorder(RowRecorder):
    """Recorder of a run that another process records: does nothing."""

    num_logged = 0

    @override
    def observe(
        self,
        update: int,
        replicas: Sequence[int],
        values: Mapping[str, Tensor],
        make_view: Callable[[int], View] | None,
    ) -> None:
        pass

    @override
    def settle(self, update: int, statuses: Sequence[Status], solved: Sequence[bool]) -> None:
        pass

    @override
    def broken(self) -> dict[int, str]:
        return {}


class NullListener(RunListener):
    """Listener of a run that another process saves and reports: does nothing."""

    @override
    def on_update(self, training: TrainingState, update: Update | None) -> None:
        pass

    @override
    def message(self, text: str) -> None:
        pass

    @override
    def ended(self, training: TrainingState, replicas: Sequence[int]) -> None:
        pass

    @override
    def checkpoint(self, training: TrainingState) -> None:
        pass


def work(setup: RunSetup, seed: int, snapshot: Snapshot | None) -> int:
    """Train on this process's share of every batch, until the run ends.

    Args:
        setup: Objects of the run.
        seed: Seed of the run.
        snapshot: State from which the run is resumed; None: it starts from the beginning.

    Returns:
        The exit status: 0 ended as planned, 128 + N ended by signal N.
    """
    config, built, world = setup.config, setup.built, setup.world
    prepare_arithmetic()
    engine = Engine(built.model, resolve_threads(config, built, 1, setup.device), setup.device, setup.dtype)
    problem = Problem(built.task, engine, [seed], world)
    theta = setup.first_theta(problem.seeds, snapshot, engine)
    with SharedInterrupt(world) as interrupt:
        training = Training(
            problem,
            built.optimizer,
            theta,
            training_plan(config),
            NullRecorder(),
            NullListener(),
            interrupt,
            curriculum=curriculum(config),
        )
        if snapshot is not None:
            training.restore(snapshot)
        training.run()
    engine.close()
    return OK if interrupt.signal is None else of_signal(interrupt.signal)
