"""One composed configuration, and the values of Hydra's own keys for one job."""

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
        config: Typed configuration.
        tree: The same as an OmegaConf tree, with interpolations not resolved and without Hydra's own part.
        hydra: Hydra's own part, under the key hydra. Jobs with the same choices share it, because copying it for each
            job would take more time than all other work on the job.
        overrides: Overrides that the configuration was composed from.
    """

    config: Config
    tree: DictConfig
    hydra: DictConfig
    overrides: tuple[Override, ...]

    def override_lines(self, keys: Collection[str]) -> list[str]:
        """The overrides that set one of the given keys, as typed."""
        return [str(override.input_line) for override in self.overrides if override.get_key_element() in keys]

    def resolve(self, key: str, number: int | None = None) -> str:
        """Resolve one of Hydra's keys to text.

        Args:
            key: Dotted key, such as hydra.sweep.subdir.
            number: Number of the job; None: no job.

        Raises:
            ConfigError: The value cannot be resolved.
        """
        state: Any = HydraConfig.instance()
        before = state.cfg
        try:
            with self.with_hydra(number) as tree:
                state.cfg = tree  # what ${hydra:...} in it refers to
                return str(OmegaConf.select(tree, key))
        except OmegaConfBaseException as error:
            raise explain(error, key) from error
        finally:
            state.cfg = before

    @contextlib.contextmanager
    def with_hydra(self, number: int | None = None) -> Iterator[DictConfig]:
        """The configuration together with Hydra's own part for one job.

        Args:
            number: Number of the job; None: no job.
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
        """The overrides as a folder name, as in Hydra's own `hydra.job.override_dirname`."""
        style = self.hydra.hydra.job.config.override_dirname
        lines = sorted(
            str(override.input_line)
            for override in self.overrides
            if not override.is_hydra_override() and override.key_or_group not in style.exclude_keys
        )
        return str(style.item_sep).join(lines).replace("=", style.kv_sep)
