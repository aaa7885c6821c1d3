"""From a configuration to the training loop's budgets, intervals, probes and columns of metrics.csv."""

from functools import partial

from rnnbench.config.build import Built, build_task, first_length
from rnnbench.config.schema import Config
from rnnbench.metrics import Metric
from rnnbench.records.board import Board, board_of
from rnnbench.training.curriculum import LENGTH_METRIC, Curriculum
from rnnbench.training.flossing import Flossing
from rnnbench.training.observation import LOOP_METRICS, columns
from rnnbench.training.plan import TrainingPlan
from rnnbench.training.readings import ScheduledProbe


def training_plan(config: Config) -> TrainingPlan:
    """Return the training plan of a configuration."""
    budget, record = config.budget, config.record
    return TrainingPlan(
        max_updates=budget.updates,
        max_sequences=budget.sequences,
        max_seconds=_seconds(budget.minutes),
        log_every=record.log_every,
        evaluate_every=record.evaluate_every,
        checkpoint_every=record.checkpoint_every,
        checkpoint_seconds=_seconds(record.checkpoint_minutes),
        stop_when_solved=config.stop_when_solved,
        flossing=_flossing(config),
    )


def curriculum(config: Config) -> Curriculum | None:
    """Return the lengths of the training batches of a configuration; None: all have the task's length."""
    length = first_length(config)
    return None if length is None else Curriculum(length, config.task.sequence_length, partial(build_task, config))


def _flossing(config: Config) -> Flossing | None:
    return None if config.flossing.exponents == 0 else Flossing(**vars(config.flossing))


def scheduled_probes(config: Config, built: Built) -> dict[str, ScheduledProbe]:
    """Return the probes of a run by name, each with the interval at which it is read."""
    return {name: ScheduledProbe(probe, config.probe[name].every) for name, probe in built.probes.items()}


def record_columns(config: Config, built: Built) -> list[str]:
    """Return the columns of a run's metrics.csv."""
    return columns(scheduled_probes(config, built), built.optimizer, built.model, built.task, _further_metrics(config))


def record_board(config: Config, built: Built) -> Board:
    """Return what TensorBoard shows of a run."""
    optimizer = built.optimizer
    metrics = [
        *(*LOOP_METRICS, *_further_metrics(config), *built.task.evaluation_metrics),
        *(*optimizer.evaluation_metrics, *optimizer.metrics),
    ]
    metrics += [metric for probe in built.probes.values() for metric in probe.metrics]
    baselines = {"loss/eval": built.task.baseline_loss, "error_rate/eval": built.task.baseline_error_rate}
    return board_of(record_columns(config, built), metrics, baselines)


def _further_metrics(config: Config) -> list[Metric]:
    """Return the metrics of the loop that not every run has."""
    return [] if first_length(config) is None else [LENGTH_METRIC]


def _seconds(minutes: float | None) -> float | None:
    return None if minutes is None else 60 * minutes
