"""The classes to be checked: choices of a configuration folder, each built at any size."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from rnnbench.checks.cases import make_case
from rnnbench.checks.init_laws import INIT_LAWS, InitCase
from rnnbench.checks.law import Law, Size
from rnnbench.checks.model_laws import MODEL_LAWS
from rnnbench.checks.optim_laws import OPTIMIZER_LAWS, OptimizerCase
from rnnbench.checks.probe_laws import PROBE_LAWS, ProbeCase
from rnnbench.checks.run_laws import RUN_LAWS, RunCase
from rnnbench.checks.task_laws import TASK_LAWS, TaskCase
from rnnbench.config.build import Built
from rnnbench.config.compose import Composer
from rnnbench.config.schema import Config
from rnnbench.config.trust import Trusted
from rnnbench.config.validate import validate
from rnnbench.objective.engine import Engine
from rnnbench.run.setup import set_up
from rnnbench.training.problem import Problem, draw_parameters

USUAL = {
    "task": "adding",
    "model": "rnn",
    "init": "orthogonal",
    "optim": "sgd",
    "schedule": "constant",
    "probe": "none",
}
"""The choices beside the one that is checked."""

FIXED = (
    *("threads=1", "device=cpu", "record.log_every=1", "record.evaluate_every=2", "record.checkpoint_every=1"),
    *("stop_when_solved=false", "name=check"),
)
LOSSES_TRIED = ("squared_error", "sigmoid_cross_entropy")


MakeCases = Callable[[Size], Iterator[Any]]
"""Makes the cases of a size on which a law is tried."""


@dataclass(frozen=True)
class Subject:
    """A choice whose class is checked.

    Attributes:
        group: Its group.
        name: Its name.
        choices: Overrides that choose it, and what it is checked with.
        composer: Composes its configuration.
        trusted: Folders of its class.
    """

    group: str
    name: str
    choices: Sequence[str]
    composer: Composer
    trusted: Trusted
    _built: dict[Size, Built] = field(default_factory=dict, init=False, repr=False)

    def __str__(self) -> str:
        """The choice as it is typed."""
        return f"{self.group}={self.name}"

    def config(self, size: Size, *words: str) -> Config:
        """The configuration at a size, in float64.

        Raises:
            ConfigError: There is no task or model of this size.
        """
        whole = self.composer.compose(self.choices).config
        keys = {"task.sequence_length": size.steps, "model.hidden_size": size.units}
        sizes = [
            f"{key}={value}"
            for key, value in keys.items()
            if value is not None and hasattr(getattr(whole, key.partition(".")[0]), key.partition(".")[2])
        ]
        batches = [f"optim.{key}={size.sequences}" for key in vars(whole.optim) if key.endswith("batch_size")]
        config = self.composer.compose([*self.choices, *FIXED, *sizes, *batches, *words]).config
        validate(config)
        return config

    def built(self, size: Size) -> Built:
        """The objects of the replicas of a size; they are built once.

        Raises:
            ConfigError: There is no task or model of this size, or a class cannot be built.
        """
        if size not in self._built:
            config = self.config(size, "dtype=float64")
            self._built[size] = set_up([replace(config, seed=seed) for seed in range(size.replicas)]).built
        return self._built[size]

    def laws(self) -> Iterator[tuple[Law[Any], MakeCases]]:
        """The laws of its kind, each with the function that makes a case of a size."""
        makers: dict[str, tuple[Sequence[Law[Any]], MakeCases]] = {
            "task": (TASK_LAWS, self._task_cases),
            "model": (MODEL_LAWS, self._model_cases),
            "init": (INIT_LAWS, self._init_cases),
            "optim": (OPTIMIZER_LAWS, self._optimizer_cases),
            "schedule": (OPTIMIZER_LAWS, self._optimizer_cases),  # of sgd with it
            "probe": (PROBE_LAWS, self._probe_cases),
        }
        laws, make = makers[self.group]
        for law in laws:
            yield law, make
        for law in RUN_LAWS:
            yield law, self._run_cases

    def _task_cases(self, size: Size) -> Iterator[TaskCase]:
        yield TaskCase(self.built(size).task, size)

    def _model_cases(self, size: Size) -> Iterator[Any]:
        model, steps = self.built(size).model, size.steps or 2 * size.sequences
        for loss in LOSSES_TRIED:
            for every_step in (False, True):
                yield make_case(
                    model,
                    loss,
                    every_step=every_step,
                    num_replicas=size.replicas,
                    num_sequences=size.sequences,
                    num_steps=steps,
                )

    def _init_cases(self, size: Size) -> Iterator[InitCase]:
        built = self.built(size)
        yield InitCase(built.inits[0], built.model)

    def _optimizer_cases(self, size: Size) -> Iterator[OptimizerCase]:
        built = self.built(size)
        engine = Engine(built.model, dtype=torch.float64, num_traced=built.num_traced)
        problem = Problem(built.task, engine, list(range(size.replicas)))
        theta = draw_parameters(built.model, built.inits, problem.seeds, engine)
        yield OptimizerCase(built.optimizer, problem, theta)

    def _probe_cases(self, size: Size) -> Iterator[ProbeCase]:
        for run in self._optimizer_cases(size):
            for probe in self.built(size).probes.values():
                yield ProbeCase(probe, run)

    def _run_cases(self, size: Size) -> Iterator[RunCase]:
        whole = self.config(size)  # a schedule may depend on the budget, which a resumed run changes

        def config(updates: int) -> Config:
            return replace(whole, budget=replace(whole.budget, updates=updates))

        yield RunCase(config, self.trusted)


def subjects(
    composer: Composer, named: Sequence[str], own: Sequence[tuple[str, str]], config_dir: Path | None
) -> list[Subject]:
    """The choices to check: those that are named, checked with each other; else every own choice by itself.

    Args:
        composer: Composes configurations with the user's folder.
        named: Overrides GROUP=NAME, and values of keys.
        own: Group and name of every choice in the user's folder.
        config_dir: The user's folder.
    """
    trusted = Trusted(tuple(folder for folder in (config_dir, Path.cwd()) if folder is not None))
    chosen = {group: word.partition("=")[2] for word in named for group in USUAL if word.startswith(f"{group}=")}
    keys = [word for word in named if word.partition("=")[0] not in chosen]
    pairs = list(chosen.items()) or list(own)
    found = []
    for group, name in pairs:
        choices = {**USUAL, **chosen, group: name}
        words = [*(f"{each}={choice}" for each, choice in choices.items()), *keys]
        found.append(Subject(group, name, words, composer, trusted))
    return found
