"""Probes obey their laws, and every column of a run is the same in any group, to rounding."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rnnbench.checks.law import Size
from rnnbench.checks.probe_laws import PROBE_LAWS
from rnnbench.checks.subjects import Subject
from rnnbench.config.build import build
from rnnbench.config.compose import Composer
from rnnbench.config.request import Request
from rnnbench.config.trust import Trusted
from rnnbench.objective.engine import Engine
from rnnbench.run.schedule import training_plan
from rnnbench.training.interrupt import Interrupt
from rnnbench.training.loop import Training
from rnnbench.training.observation import Observer
from rnnbench.training.problem import Problem, draw_parameters
from rnnbench.training.readings import ScheduledProbe

TASKS = [
    "adding task.sequence_length=15",
    "adding task.variant=pascanu13 task.sequence_length=20",
    "xor task.sequence_length=12",
    "temporal_order task.sequence_length=12",
    "random_permutation task.sequence_length=8",
    "memorization_5 task.sequence_length=12",
    "latch task.sequence_length=8",
]
SMALL = [
    *("model.hidden_size=4", "probe=all", "dtype=float64", "record.log_every=1"),
    *("probe.curvature.num_eigenvectors=2", "probe.jacobian_push.num_directions=1"),
]
RELATIVE, ABSOLUTE = 1e-6, 1e-8
"""Of columns that are differences of nearly equal numbers, such as residuals, rounding is a large share."""


@pytest.fixture(scope="module")
def composer():
    with Composer(Request()) as composer:
        yield composer


@pytest.fixture
def compose(composer):
    """A configuration from words, the task's first."""
    return lambda task, *words: composer.compose([*f"task={task}".split(), *words, *SMALL]).config


class Rows:
    """Records and listener in one: keeps the rows, by replica."""

    def __init__(self, num_replicas):
        self.rows = [[] for _ in range(num_replicas)]
        self.messages = []

    def log(self, update, values, replicas):
        for k, replica in enumerate(replicas):
            cells = {tag: np.ma.filled(column, np.nan)[k] for tag, column in values.items()}
            self.rows[replica].append({"update": update, **{k: v for k, v in cells.items() if k != "time/seconds"}})

    def histogram(self, *arguments):
        pass

    def picture(self, *arguments):
        pass

    def sync(self):
        pass

    def broken(self):
        return {}

    def on_update(self, training, update):
        pass

    def message(self, text):
        self.messages.append(text)

    def ended(self, training, replicas):
        pass

    def checkpoint(self, training):
        pass


def always(probe):
    """A probe's configuration for numbers at every row, and no pictures."""
    return replace(probe, every=1, **({"picture_every": 0} if hasattr(probe, "picture_every") else {}))


def rows_of(configs, max_updates=2, threads=1):
    """The rows of every replica, and what was said, of the nets of some configurations that are trained together."""
    configs = [replace(config, probe={k: always(v) for k, v in config.probe.items()}) for config in configs]
    built, told = build(configs), Rows(len(configs))
    engine = Engine(built.model, threads, dtype=torch.float64, num_traced=built.num_traced)
    problem = Problem(built.task, engine, [config.seed for config in configs])
    theta = draw_parameters(built.model, built.inits, problem.seeds, engine)
    probes = {name: ScheduledProbe(probe, 1) for name, probe in built.probes.items()}
    plan = replace(training_plan(configs[0]), max_updates=max_updates)
    with Observer(told, probes, told.message) as observer:
        training = Training(
            problem, built.optimizer, theta, plan, observer, told, Interrupt(), keeps_previous=built.keeps_previous
        )
        training.run()
        observer.drain()
    engine.close()
    return told.rows, told.messages


def differences(together, alone):
    """Columns that differ by more than rounding, with both numbers."""
    assert [row["update"] for row in together] == [row["update"] for row in alone]
    found = {}
    for one, other in zip(together, alone, strict=True):
        assert list(one) == list(other)
        for tag, value in one.items():
            if not np.isclose(value, other[tag], rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True):
                found[one["update"], tag] = (value, other[tag])
    return found


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.replace("task.", ""))
def test_every_probe_obeys_the_laws(composer, task):
    words = [*f"task={task}".split(), "optim=nag", *SMALL]
    subject = Subject("probe", "all", words, composer, Trusted())
    for law, make_cases in subject.laws():
        for case in make_cases(Size(3, 6, None, 4)) if law in PROBE_LAWS else ():
            law.check(case)


@pytest.mark.parametrize(
    "words", [["model=lstm"], ["model=gru"], ["optim=hf"], ["model.nonlinearity=relu", "init=identity"]], ids=" ".join
)
def test_every_column_is_that_of_the_run_alone(compose, words):
    batches = ["optim.gradient_batch_size=12", "optim.curvature_batch_size=6"] if "optim=hf" in words else []
    config = compose(TASKS[1], *(words if batches else ["optim=nag", "optim.batch_size=6", *words]), *batches)
    configs = [replace(config, seed=seed) for seed in range(9)]
    together, _ = rows_of(configs)
    alone, _ = rows_of(configs[3:4])
    assert differences(together[3], alone[0]) == {}


@pytest.mark.parametrize("optim", ["optim=sgd", "optim=nag", "optim=adam"])
def test_a_replica_that_diverges_changes_nothing_for_the_others(compose, optim):
    config = compose(
        TASKS[1], optim, "optim.batch_size=6", "optim.clip_norm=null", "model.nonlinearity=relu", "init=sparse"
    )
    configs = [replace(config, seed=seed) for seed in range(4)]
    for wild, lr in ((1, 1e40), (2, 1e200)):
        configs[wild] = replace(configs[wild], optim=replace(config.optim, lr=lr))
    together, messages = rows_of(configs, max_updates=6)
    assert [message for message in messages if "diverged" not in message] == []
    assert {len(rows) for rows in together[1:3]} < set(range(2, 7))
    for healthy in (0, 3):
        alone, _ = rows_of([configs[healthy]], max_updates=6)
        assert differences(together[healthy], alone[0]) == {}


def test_blocks_of_a_batch_change_nothing(compose):
    """Several workers share a replica's sequences, or the replicas: the same sequences are looked at."""
    config = compose(TASKS[1], "optim=nag", "optim.batch_size=200")
    configs = [replace(config, seed=seed) for seed in range(3)]
    together, _ = rows_of(configs, max_updates=1, threads=4)
    alone, _ = rows_of(configs[1:2], max_updates=1, threads=1)
    assert differences(together[1], alone[0]) == {}
