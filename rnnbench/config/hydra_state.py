"""The state that Hydra keeps for a whole process, apart from that of another program in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobRuntime
from hydra.version import VersionBase

OF_AN_APPLICATION = (GlobalHydra, HydraConfig, JobRuntime, VersionBase)
"""Objects of which a process has one each, and which belong to the application that initialized Hydra."""


@contextmanager
def own_hydra() -> Iterator[None]:
    """Begin as if nobody had initialized Hydra in this process; at the end, what was there before is there again."""
    instances: dict[type, Any] = Singleton._instances
    before: dict[type, Any] = {kind: instances.pop(kind) for kind in OF_AN_APPLICATION if kind in instances}
    try:
        yield
    finally:
        for kind in OF_AN_APPLICATION:
            instances.pop(kind, None)
        instances.update(before)
