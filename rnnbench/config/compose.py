"""Composition: from the words of a command to typed configurations, every failure one line."""

import codecs
import contextlib
import copy
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped] # its stubs are no dependency of ours

from rnnbench.config.composed import Composed
from rnnbench.config.errors import ConfigError
from rnnbench.config.explain import explain, show_value
from rnnbench.config.nearest import did_you_mean, nearest_keys, not_a_choice
from rnnbench.config.objects import take_hydra_out, to_config
from rnnbench.config.overrides import parse_override, refuse_sweep
from rnnbench.config.register import register_schema
from rnnbench.config.request import HEADER, Request
from rnnbench.config.rule import is_rule
from rnnbench.config.schema import Config
from rnnbench.config.setting import set_value

EXPERIMENT = "experiment"
GROUPS = ("task", "model", "init", "optim", "probe", EXPERIMENT)
PLAIN_KEYS = {field.name for field in fields(Config)} - {*GROUPS}
SEARCHPATH = "hydra.searchpath"
EXTRAS = {("hydra/launcher", "joblib"): "joblib", ("hydra/sweeper", "optuna"): "optuna"}
"""Choices that plugins of Hydra bring, and the extra of rnnbench that installs each."""


@dataclass
class Composer:
    """Composes configurations for one request; a context manager, since Hydra has one global state.

    The choices of the groups are composed by Hydra, once for every combination, and Hydra's own keys set on that; other
    values are set on copies of the rest, so that a job of a sweep costs milliseconds.

    Attributes:
        request: What was asked for.
    """

    request: Request
    _bases: dict[tuple[str, ...], tuple[DictConfig, DictConfig]] = field(default_factory=dict)
    _parsed: dict[str, Override] = field(default_factory=dict)
    _choices: dict[str, list[str]] = field(default_factory=dict)
    _initialized: Any = None
    _outer: Any = None

    def __enter__(self) -> Self:
        """Set Hydra up with the request's main configuration folder, also inside a run of Hydra's."""
        register_schema()
        self._outer = GlobalHydra.instance().hydra
        GlobalHydra.instance().clear()
        self._initialized = initialize_config_dir(str(self.request.main_dir), job_name="train", version_base="1.3")
        self._initialized.__enter__()
        if self.request.config_dir is not None:
            self._search_also(self.request.config_dir)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give Hydra's global state back."""
        self._initialized.__exit__(kind, error, traceback)
        GlobalHydra.instance().hydra = self._outer

    def _search_also(self, folder: Path) -> None:
        """Have choices looked for in a further folder, whose place in the order is that of Hydra's --config-dir."""
        path = self.loader.get_search_path()
        path.prepend("command-line", f"file://{folder}", SearchPathQuery(provider="schema"))
        repository: Any = vars(self.loader)["repository"]
        repository.initialize_sources(path)

    @property
    def loader(self) -> ConfigLoader:
        """Hydra's loader of configurations."""
        return GlobalHydra.instance().config_loader()

    def parse(self, lines: Sequence[str]) -> list[Override]:
        """Read overrides.

        Raises:
            ConfigError: One of them cannot be read.
        """
        for line in lines:
            if line not in self._parsed:
                self._parsed[line] = parse_override(line, self.loader)
        return [self._parsed[line] for line in lines]

    def choices(self, group: str) -> list[str]:
        """The choices of a group, in all folders that are searched; empty where there is no such group."""
        if group not in self._choices:
            path = self._searchpath(self.parse(self.request.overrides))
            with _folders_that_exist():
                found = self.loader.get_group_options(group, ObjectType.CONFIG, self.request.config_name, path)
            self._choices[group] = sorted(set(found))
        return self._choices[group]

    def is_group(self, override: Override) -> bool:
        """Whether an override picks a choice of a group."""
        key = override.key_or_group
        if override.package is not None or "/" in key or key in GROUPS:
            return True
        return "." not in key and key not in PLAIN_KEYS and bool(self.choices(key))

    def compose(self, lines: Sequence[str]) -> Composed:
        """Compose one configuration.

        Args:
            lines: Overrides of one value each.

        Returns:
            The configuration, typed but with no value checked against its limits.

        Raises:
            ConfigError: A key or a choice does not exist, a value is of the wrong type or missing, or several values
                were given.
        """
        overrides = self.parse(lines)
        for override in overrides:
            refuse_sweep(override)
        shared = [override for override in overrides if self.is_group(override) or _is_hydras(override)]
        base, hydra = self._base(shared, self._searchpath(overrides))
        tree = copy.deepcopy(base)
        for override in overrides:
            if override not in shared:
                set_value(override, tree, GROUPS)
        return Composed(to_config(tree), tree, hydra, tuple(overrides))

    def hydras_part(self, lines: Sequence[str]) -> DictConfig:
        """Hydra's own part of the configuration, interpolations not resolved; only choices and its own keys are read.

        Args:
            lines: Overrides of one value each.

        Raises:
            ConfigError: As `compose` does.
        """
        overrides = self.parse(lines)
        shared = [override for override in overrides if self.is_group(override) or _is_hydras(override)]
        _, hydra = self._base(shared, self._searchpath(overrides))
        part: DictConfig = hydra.hydra
        return part

    def _base(self, overrides: Sequence[Override], searchpath: Sequence[str]) -> tuple[DictConfig, DictConfig]:
        """The configuration of some choices with Hydra's keys set, and Hydra's part of it; not to be modified."""
        lines = (*searchpath, *(str(override.input_line) for override in overrides))
        if lines not in self._bases:
            groups = [override for override in overrides if self.is_group(override)]
            tree = self._compose_choices(groups, searchpath)
            for override in overrides:
                if override not in groups and override.key_or_group != SEARCHPATH:
                    set_value(override, tree, GROUPS)
            self._bases[lines] = tree, take_hydra_out(tree)
        return self._bases[lines]

    def _compose_choices(self, groups: Sequence[Override], searchpath: Sequence[str]) -> DictConfig:
        """What Hydra makes of these choices, no value changed."""
        for override in groups:
            self._check_choice(override)
        lines = [*searchpath, *(str(override.input_line) for override in groups)]
        try:
            with _folders_that_exist():
                tree = compose(self.request.config_name, lines, return_hydra_config=True)
        except (HydraException, OmegaConfBaseException, YAMLError, ValueError, OSError) as error:
            raise self._explain(error) from error
        except KeyError as error:
            raise ConfigError(f"hydra.job.env_copy: there is no environment variable {error.args[0]}") from error
        self._check_complete(tree)
        return tree

    def _explain(self, error: Exception) -> ConfigError:
        """The error on a composition; what is wrong with a file's first line is looked up there."""
        told = explain(error)
        file = re.match(r"in (.+\.yaml): ", str(told))
        if file is None:
            return told
        for folder in (self.request.main_dir, self.request.config_dir):
            path = None if folder is None else folder / file[1]
            if path is not None and path.is_file() and path.read_bytes().startswith(codecs.BOM_UTF8):
                return ConfigError(f"{path} begins with a byte-order mark, which hides its first line: save it without")
        group = file[1].partition("/")[0]
        if re.search(rf"there is no key {re.escape(group)}(;|$)", str(told)):
            return ConfigError(f"{file[0]}its first line must be {HEADER} if it is to set keys of several groups")
        return told

    def _check_choice(self, override: Override) -> None:
        """Refuse a choice that does not exist."""
        group = override.key_or_group
        known = self.choices(group)
        if not known:
            raise self._no_group(group)
        if group in GROUPS:
            _check_place(override, known)
        if override.is_delete():
            return
        value = override.value()
        if isinstance(value, dict) or (isinstance(value, list) and group in GROUPS[:4]):
            raise ConfigError(
                f"{group} takes the name of one choice ({', '.join(known)}); its keys are {group}.KEY=VALUE"
            )
        for name in value if isinstance(value, list) else [value]:
            folder, _, last = show_value(name).strip("'").rpartition("/")
            inside = f"{group}/{folder}" if folder else group
            if last.removesuffix(".yaml") not in self.choices(inside):
                if (inside, last) in EXTRAS:
                    raise ConfigError(f"{inside}={last} is a plugin: pip install 'rnnbench[{EXTRAS[inside, last]}]'")
                raise ConfigError(not_a_choice(inside, last, self.choices(inside)))
            if group == EXPERIMENT and is_rule(self.request.main_dir / group / f"{last}.yaml"):
                raise ConfigError(f"experiment={last} is a claim with its rule: rnnbench reproduce {last}")

    def _no_group(self, group: str) -> ConfigError:
        """The error on a group without any choice."""
        if group in GROUPS:
            return ConfigError(
                f"{self.request.main_dir} has no choice of {group}: --config-path takes the place of rnnbench's own "
                "configuration; --config-dir adds a folder to it"
            )
        inside_hydra = [f"hydra/{name}" for name in self.loader.list_groups("hydra")]
        near = did_you_mean(nearest_keys(group, [*GROUPS, *inside_hydra]))
        return ConfigError(f"there is no group {group}{near or '; the groups are ' + ', '.join(GROUPS)}")

    def _check_complete(self, tree: DictConfig) -> None:
        """Refuse a composition in which a group is empty, as a main file of one's own may leave it."""
        for group in GROUPS[:-1]:
            if group not in tree or OmegaConf.is_missing(tree, group) or not OmegaConf.is_config(tree[group]):
                raise ConfigError(f"{group} needs a choice: {', '.join(self.choices(group)) or 'none exists'}")

    def _searchpath(self, overrides: Sequence[Override]) -> list[str]:
        """The override, if there is one, that makes Hydra look into further folders."""
        found = [override for override in overrides if override.key_or_group == SEARCHPATH]
        if len(found) > 1:
            raise ConfigError(f"{SEARCHPATH} is given twice; all folders go into one list, as in [file:///a,file:///b]")
        for override in found:
            value = override.value()
            if not isinstance(value, list) or not all(isinstance(path, str) for path in value):
                raise ConfigError(f"{SEARCHPATH} must be a list of texts, as in [file:///folder]")
        return [str(override.input_line) for override in found]


@contextlib.contextmanager
def _folders_that_exist() -> Iterator[None]:
    """Refuse a folder of the search path that does not exist, of which Hydra only warns."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="provider=", category=UserWarning)
            yield
    except UserWarning as warning:
        raise ConfigError(f"{SEARCHPATH}: {warning}") from warning


def _is_hydras(override: Override) -> bool:
    """Whether an override sets one of Hydra's own keys."""
    return override.key_or_group.startswith("hydra.")


def _check_place(override: Override, known: Sequence[str]) -> None:
    """Refuse to remove, add or move a choice of one of the groups that every run has."""
    group, line = override.key_or_group, override.input_line
    if override.package is not None:
        raise ConfigError(f"{line}: {group} has its place in the configuration; write {group}=NAME")
    if override.is_delete() and group != EXPERIMENT:
        raise ConfigError(f"{group} cannot be removed: every run needs one of {', '.join(known)}")
    if override.is_add() or override.is_force_add():
        raise ConfigError(f"{line}: {group} has a choice already, which {group}=NAME changes")
    if group == EXPERIMENT and not override.is_delete() and override.value() is None:
        raise ConfigError(f"{line}: leave it out where there is to be none")
