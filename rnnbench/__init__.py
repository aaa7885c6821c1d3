"""rnnbench: train recurrent nets on long-term dependencies, and see why they learn or do not.

The public names are imported at their first use, so that `import rnnbench` takes no time; `__init__.pyi` has their
types.
"""

from importlib import import_module
from typing import Any

from rnnbench import tasks as tasks  # its own names are imported at their first use too

__version__ = "0.1.0"

PUBLIC = {
    "ConfigError": "rnnbench.config.errors",
    "Diagnosis": "rnnbench.modules.diagnosis",
    "HessianFree": "rnnbench.modules.hessian_free",
    "RecordError": "rnnbench.records.errors",
    "Report": "rnnbench.api.reports",
    "Run": "rnnbench.api.run",
    "Sweep": "rnnbench.api.sweep",
    "Tuning": "rnnbench.api.tuning",
    "diagnose": "rnnbench.modules.diagnose",
    "load": "rnnbench.api.loading",
    "report": "rnnbench.api.reports",
    "resume": "rnnbench.api.training",
    "sweep": "rnnbench.api.training",
    "train": "rnnbench.api.training",
    "tune": "rnnbench.api.training",
}
"""Public name -> the module that defines it."""


def __getattr__(name: str) -> Any:
    """Import a public name."""
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(PUBLIC[name]), name)
    return value


def __dir__() -> list[str]:
    """The names of this module, including those that are not imported yet."""
    return sorted({*globals(), *PUBLIC})
