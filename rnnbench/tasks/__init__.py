"""Tasks: sources of sequences, each with a loss, a criterion for being solved and the constant predictor's score.

`from rnnbench.tasks import Adding` gives a task as data: `Adding(100).batch(seed=0, update=0, batch_size=64)`. A class
is imported at its first use, so that `import rnnbench.tasks` imports no torch. It is found by its name: `OneBit` is in
the module `one_bit`.
"""

import pkgutil
import re
from importlib import import_module
from typing import Any

BASE = {"Task": "base"}
"""Class in a module with another name."""


def __getattr__(name: str) -> Any:
    """Import the class of a name."""
    module = BASE.get(name) or re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    if not name[:1].isupper() or module not in _modules():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
    return value


def __dir__() -> list[str]:
    """The names of this module, with the classes that have not been imported yet."""
    named = [(module.title().replace("_", ""), module) for module in _modules()]
    found = [name for name, module in named if hasattr(import_module(f"{__name__}.{module}"), name)]
    return sorted({*globals(), *BASE, *found})


def _modules() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(__path__)]
