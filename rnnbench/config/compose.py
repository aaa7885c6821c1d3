"""Composes typed configurations from overrides; every failure is one line."""

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

from rnnbench.config.choices.schedules import SCHEDULE, no_schedule
from rnnbench.config.composed import Composed
from rnnbench.config.errors import ConfigError
from rnnbench.config.explain import explain
from rnnbench.config.nearest import did_you_mean, nearest_keys, not_a_choice
from rnnbench.config.objects import split_off_hydra, to_config
from rnnbench.config.overrides import parse_override, refuse_sweep
from rnnbench.config.register import register_schema
from rnnbench.config.request import HEADER, Request
from rnnbench.config.rule import is_rule
from rnnbench.config.schema import CHOICE_GROUPS, REQUIRED_GROUPS, Config
from rnnbench.config.setting import check_key, set_value
from rnnbench.config.values import show_value

EXPERIMENT = "experiment"
GROUPS = (*REQUIRED_GROUPS, EXPERIMENT)
PLAIN_KEYS = {field.name for field in fields(Config)} - {*GROUPS}
SEARCHPATH = "hydra.searchpath"
EXTRAS = {("hydra/launcher", "joblib"): "joblib", ("hydra/sweeper", "optuna"): "optuna"}
"""Choices that Hydra plugins provide -> the extra of rnnbench that installs the plugin."""


@dataclass
class Composer:
    """Composes configurations for one request; a context manager, because Hydra has global state.

    Hydra composes each combination of choices once, with the values of Hydra's own keys. All other values are set on
    copies of that, so that composing a job of a sweep takes milliseconds.

    Attributes:
        request: Options and overrides of the command.
    """

    request: Request
    _bases: dict[tuple[str, ...], tuple[DictConfig, DictConfig]] = field(default_factory=dict)
    _parsed: dict[str, Override] = field(default_factory=dict)
    _choices: dict[str, list[str]] = field(default_factory=dict)
    _initialized: Any = None
    _outer: Any = None

    def __enter__(self) -> Self:
        """Initialize Hydra with the request's main configuration folder; it may be used inside a Hydra job."""
        register_schema()
        self._outer = GlobalHydra.instance().hydra
        GlobalHydra.instance().clear()
        self._initialized = initialize_config_dir(str(self.request.main_dir), job_name="train", version_base="1.3")
        self._initialized.__enter__()
        if self.request.config_dir is not None:
            self._add_to_search_path(self.request.config_dir)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restore Hydra's global state."""
        self._initialized.__exit__(kind, error, traceback)
        GlobalHydra.instance().hydra = self._outer

    def _add_to_search_path(self, folder: Path) -> None:
        """Add a folder of choices to Hydra's search path, with the precedence of Hydra's --config-dir."""
        path = self.loader.get_search_path()
        path.prepend("command-line", f"file://{folder}", SearchPathQuery(provider="schema"))
        repository: Any = vars(self.loader)["repository"]
        repository.initialize_sources(path)

    @property
    def loader(self) -> ConfigLoader:
        """Hydra's loader of configurations."""
        return GlobalHydra.instance().config_loader()

    def parse(self, lines: Sequence[str]) -> list[Override]:
        """Parse overrides.

        Raises:
            ConfigError: An override is not valid.
        """
        for line in lines:
            if line not in self._parsed:
                self._parsed[line] = parse_override(line, self.loader)
        return [self._parsed[line] for line in lines]

    def choices(self, group: str) -> list[str]:
        """The choices of a group in all folders of the search path; empty if the group does not exist."""
        if group not in self._choices:
            path = self._searchpath(self.parse(self.request.overrides))
            with _folders_that_exist():
                names = self.loader.get_group_options(group, ObjectType.CONFIG, self.request.config_name, path)
            self._choices[group] = sorted(set(names))
        return self._choices[group]

    def is_group(self, override: Override) -> bool:
        """Whether an override selects a choice of a group."""
        key = override.key_or_group
        if override.package is not None or "/" in key or key in GROUPS:
            return True
        return "." not in key and key not in PLAIN_KEYS and bool(self.choices(key))

    def check_exists(self, override: Override, composed: Composed) -> None:
        """Check that the group or the key of an override exists; its values are not checked.

        Args:
            override: Override with one or several values.
            composed: Configuration in which a key is looked up.

        Raises:
            ConfigError: There is no such group or key.
        """
        if self.is_group(override):
            self._choices_of(override.key_or_group)
        else:
            check_key(override, composed.hydra if _sets_hydra_key(override) else composed.tree, GROUPS)

    def compose(self, lines: Sequence[str]) -> Composed:
        """Compose one configuration.

        Args:
            lines: Overrides with one value each.

        Returns:
            The typed configuration; its values are not checked against their limits.

        Raises:
            ConfigError: A key or a choice does not exist, a key has several values, or a value is missing or has the
                wrong type; for one override the first of these is reported.
        """
        tree, hydra = self.compose_tree(lines)
        return Composed(to_config(tree), tree, hydra, tuple(self.parse(lines)))

    def compose_tree(self, lines: Sequence[str]) -> tuple[DictConfig, DictConfig]:
        """Compose one configuration in which values may be missing, and Hydra's part of it.

        Args:
            lines: Overrides with one value each.

        Raises:
            ConfigError: As by `compose`, except for missing values.
        """
        overrides = self.parse(lines)
        shared = [override for override in overrides if self.is_group(override) or _sets_hydra_key(override)]
        base, hydra = self._base(shared, self._searchpath(overrides))
        tree = copy.deepcopy(base)
        for override in overrides:
            if override not in shared:
                set_value(override, tree, GROUPS)
        return tree, hydra

    def compose_hydra(self, lines: Sequence[str]) -> DictConfig:
        """Compose Hydra's own part of the configuration, with interpolations not resolved.

        Args:
            lines: Overrides with one value each; only choices and Hydra's own keys are used.

        Raises:
            ConfigError: As by `compose`.
        """
        overrides = self.parse(lines)
        shared = [override for override in overrides if self.is_group(override) or _sets_hydra_key(override)]
        _, hydra = self._base(shared, self._searchpath(overrides))
        part: DictConfig = hydra.hydra
        return part

    def _base(self, overrides: Sequence[Override], searchpath: Sequence[str]) -> tuple[DictConfig, DictConfig]:
        """The configuration of some choices and values of Hydra's keys, and Hydra's part of it; do not modify them."""
        lines = (*searchpath, *(str(override.input_line) for override in overrides))
        if lines not in self._bases:
            groups = [override for override in overrides if self.is_group(override)]
            tree = self._compose_choices(groups, searchpath)
            for override in overrides:
                if override not in groups and override.key_or_group != SEARCHPATH:
                    set_value(override, tree, GROUPS)
            self._bases[lines] = tree, split_off_hydra(tree)
        return self._bases[lines]

    def _compose_choices(self, groups: Sequence[Override], searchpath: Sequence[str]) -> DictConfig:
        """Compose the choices by Hydra, without other values."""
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
        """The error of a failed composition; if a file causes it, its first line is checked too."""
        explained = explain(error)
        file = re.match(r"in (.+\.yaml): ", str(explained))
        if file is None:
            return explained
        for folder in (self.request.main_dir, self.request.config_dir):
            path = None if folder is None else folder / file[1]
            if path is not None and path.is_file() and path.read_bytes().startswith(codecs.BOM_UTF8):
                return ConfigError(f"{path} begins with a byte-order mark, which hides its first line; save it without")
        group = file[1].partition("/")[0]
        if re.search(rf"there is no key {re.escape(group)}(;|$)", str(explained)):
            return ConfigError(f"{file[0]}its first line must be {HEADER} so that it can set keys of several groups")
        return explained

    def _check_choice(self, override: Override) -> None:
        """Check that a group and its choice exist."""
        group = override.key_or_group
        known = self._choices_of(group)
        refuse_sweep(override)
        if group in GROUPS:
            _check_choice_override(override, known)
        if override.is_delete():
            return
        value = override.value()
        if isinstance(value, dict) or (isinstance(value, list) and group in CHOICE_GROUPS):
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
                raise ConfigError(f"experiment={last} is the rule of a claim: rnnbench reproduce {last} tests it")

    def _choices_of(self, group: str) -> list[str]:
        """The choices of a group; an error if it has none."""
        known = self.choices(group)
        if not known:
            raise self._no_group(group)
        return known

    def _no_group(self, group: str) -> ConfigError:
        """The error for a group without choices."""
        if group in GROUPS:
            return ConfigError(
                f"{self.request.main_dir} has no choice of {group}: --config-path replaces rnnbench's configuration, "
                "--config-dir adds a folder to it"
            )
        inside_hydra = [f"hydra/{name}" for name in self.loader.list_groups("hydra")]
        near = did_you_mean(nearest_keys(group, [*GROUPS, *inside_hydra]))
        return ConfigError(f"there is no group {group}{near or '; the groups are ' + ', '.join(GROUPS)}")

    def _check_complete(self, tree: DictConfig) -> None:
        """Check that every required group has a choice; a user's own main file may lack one, such as a schedule."""
        if OmegaConf.is_missing(tree, SCHEDULE):
            tree[SCHEDULE] = OmegaConf.structured(no_schedule())
        for group in REQUIRED_GROUPS:
            if group not in tree or OmegaConf.is_missing(tree, group) or not OmegaConf.is_config(tree[group]):
                raise ConfigError(f"{group} needs a choice: {', '.join(self.choices(group)) or 'none exists'}")

    def _searchpath(self, overrides: Sequence[Override]) -> list[str]:
        """The override of Hydra's search path, if there is one."""
        given = [override for override in overrides if override.key_or_group == SEARCHPATH]
        if len(given) > 1:
            raise ConfigError(f"{SEARCHPATH} is given twice; use one list, as in [file:///a,file:///b]")
        for override in given:
            value = override.value()
            if not isinstance(value, list) or not all(isinstance(path, str) for path in value):
                raise ConfigError(f"{SEARCHPATH} must be a list of strings, as in [file:///folder]")
        return [str(override.input_line) for override in given]


@contextlib.contextmanager
def _folders_that_exist() -> Iterator[None]:
    """Raise an error if a folder of the search path does not exist; Hydra only warns."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="provider=", category=UserWarning)
            yield
    except UserWarning as warning:
        raise ConfigError(f"{SEARCHPATH}: {warning}") from warning


def _sets_hydra_key(override: Override) -> bool:
    """Whether an override sets one of Hydra's own keys."""
    return override.key_or_group.startswith("hydra.")


def _check_choice_override(override: Override, known: Sequence[str]) -> None:
    """Check that an override of one of rnnbench's groups does not remove, add or move its choice."""
    group, line = override.key_or_group, override.input_line
    if override.package is not None:
        raise ConfigError(f"{line}: {group} cannot be moved in the configuration; write {group}=NAME")
    if override.is_delete() and group != EXPERIMENT:
        raise ConfigError(f"{group} cannot be removed: every run needs one of {', '.join(known)}")
    if override.is_add() or override.is_force_add():
        raise ConfigError(f"{line}: {group} already has a choice; change it with {group}=NAME")
    if group == EXPERIMENT and not override.is_delete() and override.value() is None:
        raise ConfigError(f"{line}: omit it for a run without an experiment")
