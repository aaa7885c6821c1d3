"""The keys of the schedules of the learning rate. Fields as in `rnnbench.config.schema`."""

from dataclasses import dataclass

from rnnbench.config.declaration import choice, shared
from rnnbench.config.option import option
from rnnbench.config.schema import CHOICE_GROUPS, REQUIRED, Choice, Config

SCHEDULE = "schedule"
"""The group."""


@shared(SCHEDULE, "schedule")
@dataclass
class ScheduleConfig(Choice):
    """Keys of every schedule."""

    warmup: int = option(
        0, "first updates, during which the learning rate grows linearly to optim.lr", low=0, per_replica=True
    )


@choice(SCHEDULE, "constant")
@dataclass
class ConstantConfig(ScheduleConfig):
    """A constant learning rate, after the warm-up."""


@choice(SCHEDULE, "cosine")
@dataclass
class CosineConfig(ScheduleConfig):
    """Half a period of a cosine."""

    length: int | None = option(
        "${planned_updates:}",
        "updates until the last factor is reached, warm-up included; by default those of the budget",
        low=1,
        per_replica=True,
    )
    final: float = option(0.0, "last learning rate, as a share of optim.lr", low=0, per_replica=True)


@choice(SCHEDULE, "step")
@dataclass
class StepConfig(ScheduleConfig):
    """A decrease after every few updates."""

    step_size: int = option(REQUIRED, "updates between two decreases", low=1, per_replica=True)
    gamma: float = option(0.1, "factor of a decrease", above=0, per_replica=True)


@choice(SCHEDULE, "inverse_sqrt")
@dataclass
class InverseSqrtConfig(ScheduleConfig):
    """The inverse square root of the number of updates."""

    warmup: int = option(
        1000,
        "first updates, during which the learning rate grows linearly to optim.lr; then lr sqrt(warmup / updates)",
        low=1,
        per_replica=True,
    )


def no_schedule() -> ConstantConfig:
    """The default choice, which records do not mention: the learning rate is optim.lr at every update."""
    return ConstantConfig("constant", "rnnbench.optim.schedules.constant.Constant")


def recorded_groups(config: Config) -> list[str]:
    """The groups of a configuration that records mention: all, but for a schedule that does nothing."""
    return [group for group in CHOICE_GROUPS if getattr(config, group) != no_schedule()]


def problem_of(schedule: Choice) -> str | None:
    """What is wrong with the keys of a schedule together; None: nothing."""
    if not isinstance(schedule, CosineConfig):
        return None
    if schedule.length is None:
        return (
            "schedule.length: budget.minutes does not say after how many updates the cosine ends; set schedule.length, "
            "or leave it out and set budget.updates"
        )
    if schedule.warmup >= schedule.length:
        return f"schedule.warmup must be < schedule.length ({schedule.length}), got {schedule.warmup}"
    return None
