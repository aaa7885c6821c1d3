"""A training with stand-ins for everything that is not the loop."""

import time
from dataclasses import dataclass, field, replace

import torch

from rnnbench.objective.objective import Gradient
from rnnbench.optim.base import Optimizer, Update
from rnnbench.probes.base import View
from rnnbench.tasks.base import Batch
from rnnbench.training.interrupt import Interrupt
from rnnbench.training.loop import Training
from rnnbench.training.plan import TrainingPlan
from rnnbench.training.world import ALONE

PLAN = TrainingPlan(
    max_updates=20,
    max_sequences=None,
    max_seconds=None,
    log_every=1,
    evaluate_every=1,
    checkpoint_every=1000,
    checkpoint_seconds=None,
    stop_when_solved=True,
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Countdown(Optimizer):
    """Lowers theta (R, 1) by `step` at each update; a replica whose step is NaN diverges at its third update."""

    step: torch.Tensor
    on_update: object = None

    @property
    def num_drawn_sequences(self):
        return 10

    def initial_state(self, theta):
        return {"count": torch.zeros(len(theta), 1), "age": torch.zeros(len(theta))}

    def update(self, theta, state, update, draw):
        if self.on_update is not None:
            self.on_update(update)
        step = self.step.clone()
        if update < 2:
            step = step.nan_to_num(nan=0.25)
        gradient = Gradient(theta[:, 0].clone(), theta.clone(), None, None, 10, None, theta)
        cost = torch.full((len(theta),), 10.0, dtype=torch.float64)
        state = {name: tensor + 1 for name, tensor in state.items()}
        return Update(theta - step, state, gradient, theta, cost * 0, cost, cost, cost)


@dataclass(frozen=True)
class Levels:
    """A task whose error rate is a function of theta; the large test set may see another one."""

    seeds: tuple
    error_rate: object = staticmethod(lambda theta: theta[:, 0].clamp(min=0))
    confirmed: object = None
    solved_error_rate: float = 0.01
    num_steps: int = 5
    dependency: object = None
    evaluations: list = field(default_factory=list)

    @property
    def world(self):
        return ALONE

    @property
    def task(self):
        return self

    @property
    def model(self):
        return None

    def replicas(self, index):
        return replace(self, seeds=tuple(self.seeds[k] for k in index))

    def draw(self, update):
        return None

    def evaluate(self, theta):
        rate = self.error_rate(theta).double()
        return {"loss/eval": rate + 1, "error_rate/eval": rate}

    def confirm(self, theta):
        return (self.confirmed or self.error_rate)(theta).double()


class Recorder:
    """Recorder and listener in one: keeps what it receives."""

    def __init__(self):
        self.rows, self.ends, self.messages, self.checkpoints, self.settled = [], [], [], [], []
        self.num_logged, self.failures = 0, {}

    def observe(self, update, replicas, values, make_view):
        self.rows.append((update, list(replicas), {key: value.tolist() for key, value in values.items()}))

    def settle(self, update, statuses, solved):
        self.settled.append((update, statuses, solved))

    def broken(self):
        failures, self.failures = self.failures, {}
        return failures

    def on_update(self, training, update):
        pass

    def message(self, text):
        self.messages.append(text)

    def ended(self, training, replicas):
        assert not set(replicas) & set(training.active)
        self.ends += [(training.update, replica, training.replicas[replica].status) for replica in replicas]

    def checkpoint(self, training):
        self.checkpoints.append((training.update, list(training.active)))


class Untraced:
    """A trace of no sequences."""

    num_sequences = 0

    def replicas(self, rows):
        return self


def view(num_replicas, num_logged=0, diverged=()):
    """What probes look at: theta of replica r is r, NaN where it has diverged."""
    theta = torch.arange(num_replicas, dtype=torch.float64).unsqueeze(1)
    after = theta.clone()
    after[list(diverged)] = torch.nan
    lengths = torch.ones(num_replicas, 1, dtype=torch.int64)
    batch = Batch(torch.zeros(1, num_replicas, 1, 1), lengths, None, torch.zeros(1, num_replicas, 1, 1))
    gradient = Gradient(theta[:, 0].clone(), theta.clone(), Untraced(), batch, 1, None, theta)
    cost = torch.zeros(num_replicas, dtype=torch.float64)
    return View(None, 1, theta, Update(after, {}, gradient, theta.clone(), cost, cost, cost, cost), num_logged)


class Book:
    """Keeps what the records would write."""

    def __init__(self):
        self.rows, self.histograms, self.pictures, self.synced, self.error = [], [], [], 0, None

    def log(self, update, values, replicas):
        if self.error is not None:
            raise self.error
        self.rows.append((update, {key: value.tolist() for key, value in values.items()}, replicas))

    def histogram(self, replica, tag, update, values):
        self.histograms.append((replica, tag, update))

    def picture(self, replica, tag, update, png):
        self.pictures.append((replica, tag, update, png))

    def row(self, update):
        """The columns of an update, by replica, without empty cells."""
        ((values, replicas),) = [(values, replicas) for number, values, replicas in self.rows if number == update]
        by_replica = [
            (replica, {tag: column[k] for tag, column in values.items()}) for k, replica in enumerate(replicas)
        ]
        return {replica: {tag: v for tag, v in cells.items() if v is not None} for replica, cells in by_replica}

    def sync(self):
        self.synced += 1


def training(
    steps,
    start=1.0,
    problem=None,
    on_update=None,
    interrupt=None,
    keeps_previous=False,
    clock=time.perf_counter,
    **plan,
):
    """A Training of len(steps) replicas that start at theta = start, with its recorder."""
    recorder = Recorder()
    theta = torch.full((len(steps), 1), start)
    optimizer = Countdown(step=torch.tensor(steps).unsqueeze(1), on_update=on_update)
    problem = problem or Levels(tuple(range(len(steps))))
    interrupt = interrupt or Interrupt()
    plan = replace(PLAN, **plan)
    run = Training(
        problem, optimizer, theta, plan, recorder, recorder, interrupt, keeps_previous=keeps_previous, clock=clock
    )
    return run, recorder
