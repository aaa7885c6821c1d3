"""Sentences on values that are allowed, but hardly what was meant."""

from collections.abc import Iterator

from rnnbench.config.cadence import planned_updates
from rnnbench.config.choices.schedules import CosineConfig
from rnnbench.config.schema import Config

INIT_OF_UNITS = {"sigmoid": ("sigmoid",), "basic_tanh": ("tanh",), "smart_tanh": ("tanh",)}
"""Init -> nonlinearities that it was made for (Pascanu et al. 2013)."""


def hints(config: Config) -> Iterator[str]:
    """The sentences on one configuration.

    Args:
        config: Validated configuration.
    """
    units = getattr(config.model, "nonlinearity", None)
    meant = INIT_OF_UNITS.get(config.init.name)
    if meant is not None and units is not None and units not in meant:
        made_for = f"model.nonlinearity={' or '.join(meant)}"
        yield f"init={config.init.name} was made for {made_for}; this net has {units}"
    schedule, budget = config.schedule, config.budget
    if isinstance(schedule, CosineConfig) and schedule.length is not None and budget.minutes is None:
        updates = planned_updates(budget, getattr(config.optim, "batch_size", None))
        if schedule.length < updates and schedule.final == 0:
            yield (
                f"schedule.length={schedule.length} is shorter than the budget of {updates} updates: the learning rate "
                "is 0 after it; leave schedule.length out, or set schedule.final"
            )
