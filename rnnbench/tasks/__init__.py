"""Tasks: sources of sequences, each with a loss, a criterion for being solved and the constant predictor's score.

`from rnnbench.tasks import Adding` gives a task as data: `Adding(100).batch(seed=0, update=0, batch_size=64)`. The
public names are imported at their first use, so that `import rnnbench.tasks` imports no torch; `__init__.pyi` has their
types.
"""

from importlib import import_module
from typing import Any

PUBLIC = {
    "Adding": "adding",
    "Latch": "latch",
    "Memorization": "memorization",
    "Multiplication": "multiplication",
    "OneBit": "one_bit",
    "RandomPermutation": "random_permutation",
    "Sequences": "sequences",
    "Task": "base",
    "TemporalOrder": "temporal_order",
    "Xor": "xor",
}
"""Public name -> the module of this package that defines it."""


def __getattr__(name: str) -> Any:
    """Import a public name."""
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)
    return value


def __dir__() -> list[str]:
    """The names of this module, including those that are not imported yet."""
    return sorted({*globals(), *PUBLIC})
