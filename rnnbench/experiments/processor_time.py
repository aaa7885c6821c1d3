"""The processor time of an update, without evaluations and records."""

import time
from collections.abc import Sequence

from rnnbench.config.schema import Config
from rnnbench.objective.engine import Engine
from rnnbench.run.machine import prepare_arithmetic
from rnnbench.run.setup import set_up
from rnnbench.training.problem import Problem, draw_parameters

NUM_TIMED_UPDATES, NUM_TIMINGS = 10, 3
"""Updates that are timed together, since some methods do more work at every tenth; and how often: the least counts."""


def seconds_per_sequence(configs: Sequence[Config]) -> float:
    """The processor time of the first updates for each sequence of a replica, without evaluations and records.

    It depends on other work on the machine much less than the time on the clock.

    Args:
        configs: Configuration of each replica.
    """
    prepare_arithmetic()
    setup = set_up(configs)
    built, least = setup.built, float("inf")
    engine = Engine(built.model, 1, setup.device, setup.dtype)
    try:
        problem = Problem(built.task, engine, [config.seed for config in configs])
        theta = draw_parameters(built.model, built.inits, problem.seeds, engine)
        state = built.optimizer.first_state(theta)
        for start in range(0, NUM_TIMED_UPDATES * NUM_TIMINGS, NUM_TIMED_UPDATES):
            before, sequences = time.process_time(), 0.0
            for number in range(start, start + NUM_TIMED_UPDATES):
                update = built.optimizer.update(theta, state, number, problem.draw(number))
                theta, state, sequences = update.theta, update.state, sequences + float(update.sequences.sum())
            least = min(least, (time.process_time() - before) / sequences)
    finally:
        engine.close()
    return least
