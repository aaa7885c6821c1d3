"""The packaged tasks and their variants, by their names in the configuration."""

from collections.abc import Callable
from functools import partial

from rnnbench.tasks.adding import Adding
from rnnbench.tasks.latch import Latch
from rnnbench.tasks.marked_operands import MarkedOperands
from rnnbench.tasks.memorization import Memorization
from rnnbench.tasks.multiplication import Multiplication
from rnnbench.tasks.one_bit import OneBit
from rnnbench.tasks.random_permutation import RandomPermutation
from rnnbench.tasks.temporal_order import TemporalOrder
from rnnbench.tasks.variants import MINIMUM_LENGTHS, minimum_length
from rnnbench.tasks.xor import Xor

TaskWithVariants = MarkedOperands | TemporalOrder | RandomPermutation | Memorization | Latch

TASKS: dict[str, Callable[[int, str], TaskWithVariants]] = {
    "adding": Adding,
    "multiplication": Multiplication,
    "temporal_order": partial(TemporalOrder, num_symbols=2),
    "temporal_order_3": partial(TemporalOrder, num_symbols=3),
    "xor": Xor,
    "random_permutation": RandomPermutation,
    "latch": partial(Latch, num_positions=3),
    "memorization_1": OneBit,
    "memorization_5": partial(Memorization, num_symbols=2, num_positions=5),
    "memorization_20": partial(Memorization, num_symbols=5, num_positions=10),
}
"""Name of each task in the configuration -> constructor that takes length and variant."""


def variants(name: str) -> tuple[str, ...]:
    """The variants of a task, by its name in the configuration."""
    return tuple(MINIMUM_LENGTHS[_class_name(name)])


def shortest(name: str, variant: str) -> int:
    """The smallest `task.sequence_length` of a variant, by the task's name in the configuration."""
    build = TASKS[name]
    num_positions = build.keywords.get("num_positions", 0) if isinstance(build, partial) else 0
    return minimum_length(_class_name(name), variant, num_positions)


def _class_name(name: str) -> str:
    build = TASKS[name]
    class_name: str = (build.func if isinstance(build, partial) else build).__name__
    return class_name
