"""Reads the YAML files of choices; a file of the user's own need not name the schema of its group."""

from pathlib import PurePosixPath
from typing import Any

from hydra._internal.core_plugins.file_config_source import FileConfigSource as HydraFiles
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig
from typing_extensions import override

from rnnbench.config.ranges import RANGES

SCHEMA_OF_GROUP = {
    "optim": "/schema/optim/first_order@_here_",
    "init": "/schema/init/init@_here_",
    "schedule": "/schema/schedule/schedule@_here_",
}
"""Group -> schema that a file without a defaults list gets."""

SCHEMA_OF_PROBE = "/schema/probe/probe"


class FileConfigSource(HydraFiles):
    """Hydra's files, except that a choice without the schema of its group gets it.

    The ranges of an optimizer, for `rnnbench tune`, are no keys of the configuration and are left out. The class has
    the name of Hydra's class, which Hydra's registry takes for the same.
    """

    @override
    def load_config(self, config_path: str) -> ConfigResult:
        result = super().load_config(config_path)
        group = PurePosixPath(config_path).parts[0]
        if isinstance(result.config, DictConfig) and group == "optim":
            result.config.pop(RANGES, None)
        if isinstance(result.config, DictConfig) and result.header.get("package") is None:
            schemas = _schemas_of_probes(result.config) if group == "probe" else _schema_of_group(group, result.config)
            if schemas:
                given: Any = result.config.get("defaults", ["_self_"])
                result.config["defaults"] = [*schemas, *given]
        return result


def _schema_of_group(group: str, config: DictConfig) -> list[str]:
    """The schema to add to a choice that has no defaults list."""
    return [SCHEMA_OF_GROUP[group]] if group in SCHEMA_OF_GROUP and "defaults" not in config else []


def _schemas_of_probes(config: DictConfig) -> list[str]:
    """The schema to add for each probe of a choice that names its class itself and is not placed by the defaults."""
    placed = {entry.partition("@")[2] for entry in config.get("defaults", []) if isinstance(entry, str)}
    own = [
        str(name)
        for name, node in config.items_ex(resolve=False)
        if isinstance(node, DictConfig) and "_target_" in node and name not in placed
    ]
    return [f"{SCHEMA_OF_PROBE}@{name}" for name in own]


def register_choice_files() -> None:
    """Let Hydra read files by `FileConfigSource`."""
    Plugins.instance()  # which registers Hydra's own class first
    SourcesRegistry.instance().types["file"] = FileConfigSource
