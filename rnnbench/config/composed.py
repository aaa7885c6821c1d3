"""One configuration as Hydra has it, and what its own part comes to for one job."""

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from rnnbench.config.explain import explain
from rnnbench.config.schema import Config

MISSING = "???"


@dataclass(frozen=True)
class Composed:
    """One configuration.

    Attributes:
        config: The typed part.
        tree: The same as Hydra has it, interpolations not resolved, without Hydra's own part.
        hydra: Hydra's own part, under the key hydra; jobs of the same choices share it, since a copy for each would
            cost more than all other work on them.
        overrides: What it was composed from.
    """

    config: Config
    tree: DictConfig
    hydra: DictConfig
    overrides: tuple[Override, ...]

    def lines(self, keys: Collection[str]) -> list[str]:
        """Those of its overrides that set some keys."""
        return [str(override.input_line) for override in self.overrides if override.get_key_element() in keys]

    def resolve(self, key: str, number: int | None = None) -> str:
        """The text of one of Hydra's keys.

        Args:
            key: As in hydra.sweep.subdir.
            number: Of the job that it is asked for; None: of no job.

        Raises:
            ConfigError: It cannot be resolved.
        """
        state: Any = HydraConfig.instance()
        before = state.cfg
        try:
            with self.whole(number) as tree:
                state.cfg = tree  # what ${hydra:...} in it refers to
                return str(OmegaConf.select(tree, key))
        except OmegaConfBaseException as error:
            raise explain(error, key) from error
        finally:
            state.cfg = before

    @contextlib.contextmanager
    def whole(self, number: int | None = None) -> Iterator[DictConfig]:
        """The configuration with Hydra's own part in it, as it is for one job.

        Args:
            number: Of the job; None: of no job.
        """
        part = self.hydra.hydra
        part.job.num, part.job.id = (MISSING, MISSING) if number is None else (number, str(number))
        part.job.override_dirname = self._override_dirname()
        flags = {"struct": False, "no_deepcopy_set_nodes": True}
        with flag_override(self.tree, list(flags), list(flags.values())):
            self.tree["hydra"] = part
            try:
                yield self.tree
            finally:
                del self.tree["hydra"]
                part._set_parent(self.hydra)

    def _override_dirname(self) -> str:
        """The overrides as a folder's name, as Hydra's own `hydra.job.override_dirname` has it."""
        style = self.hydra.hydra.job.config.override_dirname
        lines = sorted(
            str(override.input_line)
            for override in self.overrides
            if not override.is_hydra_override() and override.key_or_group not in style.exclude_keys
        )
        return str(style.item_sep).join(lines).replace("=", style.kv_sep)
