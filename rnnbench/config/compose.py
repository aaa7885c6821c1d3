"""Composition: from the words of a command to typed configurations, every failure one line."""

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from types import TracebackType
from typing import Any, Self

from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped] # its stubs are no dependency of ours

from rnnbench.config.composed import Composed
from rnnbench.config.errors import ConfigError
from rnnbench.config.explain import explain, has_key, show_value, unknown_key, wrong_type
from rnnbench.config.nearest import did_you_mean, nearest_keys, not_a_choice
from rnnbench.config.objects import take_hydra_out, to_config
from rnnbench.config.overrides import parse_override, quoted, refuse_sweep
from rnnbench.config.register import register_schema
from rnnbench.config.request import Request
from rnnbench.config.rule import is_rule
from rnnbench.config.schema import Config

GROUPS = ("task", "model", "init", "optim", "probe", "experiment")
PLAIN_KEYS = {field.name for field in fields(Config)} - {*GROUPS}
SEARCHPATH = "hydra.searchpath"


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
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give Hydra's global state back."""
        self._initialized.__exit__(kind, error, traceback)
        GlobalHydra.instance().hydra = self._outer

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
                _apply(override, tree)
        return Composed(to_config(tree), tree, hydra, tuple(overrides))

    def _base(self, overrides: Sequence[Override], searchpath: Sequence[str]) -> tuple[DictConfig, DictConfig]:
        """The configuration of some choices with Hydra's keys set, and Hydra's part of it; not to be modified."""
        lines = (*searchpath, *(str(override.input_line) for override in overrides))
        if lines not in self._bases:
            groups = [override for override in overrides if self.is_group(override)]
            tree = self._compose_choices(groups, searchpath)
            for override in overrides:
                if override not in groups and override.key_or_group != SEARCHPATH:
                    _apply(override, tree)
            self._bases[lines] = tree, take_hydra_out(tree)
        return self._bases[lines]

    def _compose_choices(self, groups: Sequence[Override], searchpath: Sequence[str]) -> DictConfig:
        """What Hydra makes of these choices, no value changed."""
        for override in groups:
            self._check_choice(override)
        lines = [*searchpath, *(str(override.input_line) for override in groups)]
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", message="provider=", category=UserWarning)
                tree = compose(self.request.config_name, lines, return_hydra_config=True)
        except UserWarning as warning:
            raise ConfigError(f"{SEARCHPATH}: {warning}") from warning
        except (HydraException, OmegaConfBaseException, YAMLError, ValueError, OSError) as error:
            raise explain(error) from error
        self._check_complete(tree)
        return tree

    def _check_choice(self, override: Override) -> None:
        """Refuse a choice that does not exist."""
        group = override.key_or_group
        known = self.choices(group)
        if not known and group not in GROUPS:
            inside_hydra = [f"hydra/{name}" for name in self.loader.list_groups("hydra")]
            near = did_you_mean(nearest_keys(group, [*GROUPS, *inside_hydra]))
            raise ConfigError(f"there is no group {group}{near or '; the groups are ' + ', '.join(GROUPS)}")
        if override.is_delete() and group in GROUPS[:-1]:
            raise ConfigError(f"{group} cannot be removed: every run needs one of {', '.join(known)}")
        if (override.is_add() or override.is_force_add()) and group in GROUPS:
            raise ConfigError(f"{override.input_line}: {group} has a choice already, which {group}=NAME changes")
        value = override.value()
        if override.is_delete() or (value is None and group == "experiment"):
            return
        if isinstance(value, dict) or (isinstance(value, list) and group in GROUPS[:4]):
            raise ConfigError(
                f"{group} takes the name of one choice ({', '.join(known)}); its keys are {group}.KEY=VALUE"
            )
        for name in value if isinstance(value, list) else [value]:
            folder, _, last = show_value(name).strip("'").rpartition("/")
            inside = f"{group}/{folder}" if folder else group
            if last.removesuffix(".yaml") not in self.choices(inside):
                raise ConfigError(not_a_choice(inside, last, self.choices(inside)))
            if group == GROUPS[-1] and is_rule(self.request.main_dir / group / f"{last}.yaml"):
                raise ConfigError(f"experiment={last} is a claim with its rule: rnnbench reproduce {last}")

    def _check_complete(self, tree: DictConfig) -> None:
        """Refuse a composition in which a group is empty, as a main file of one's own may leave it."""
        for group in GROUPS[:-1]:
            if group not in tree or OmegaConf.is_missing(tree, group) or not OmegaConf.is_config(tree[group]):
                raise ConfigError(f"{group} needs a choice: {', '.join(self.choices(group)) or 'none exists'}")

    def _searchpath(self, values: Sequence[Override]) -> list[str]:
        """The override that makes Hydra look into the request's further folder and the user's own search path."""
        paths = [] if self.request.config_dir is None else [f"file://{self.request.config_dir}"]
        for override in values:
            if override.key_or_group == SEARCHPATH:
                value = override.value()
                if not isinstance(value, list) or not all(isinstance(path, str) for path in value):
                    raise ConfigError(f"{SEARCHPATH} must be a list of texts, as in [file:///folder]")
                paths += [str(path) for path in value]
        return [f"{SEARCHPATH}=[{','.join(quoted(path) for path in paths)}]"] if paths else []


def _is_hydras(override: Override) -> bool:
    """Whether an override sets one of Hydra's own keys."""
    return override.key_or_group.startswith("hydra.")


def _check_value(tree: DictConfig, key: str, value: Any) -> None:
    """Refuse a value of the wrong type, and keys inside it that do not exist."""
    if isinstance(value, dict) and isinstance(OmegaConf.select(tree, key), DictConfig):
        for name, inner in value.items():
            if not has_key(tree, f"{key}.{name}"):
                raise unknown_key(f"{key}.{name}", tree, GROUPS)
            _check_value(tree, f"{key}.{name}", inner)
        return
    problem = wrong_type(tree, key, value)
    if problem:
        raise ConfigError(problem)


def _is_open(tree: DictConfig, key: str) -> bool:
    """Whether a key that does not exist lies in a mapping which takes any key."""
    parent = OmegaConf.select(tree, key.rpartition(".")[0])
    return isinstance(parent, DictConfig) and OmegaConf.is_struct(parent) is False


def _apply(override: Override, tree: DictConfig) -> None:
    """Set one value.

    Raises:
        ConfigError: The key does not exist, cannot be removed, or its type is another.
    """
    key, value = override.key_or_group, override.value()
    if override.is_delete():
        probes = [f"~probe.{probe}" for probe in tree.probe]
        if f"~{key}" not in probes:
            raise ConfigError(f"{key} cannot be removed; what can be: {', '.join(probes) or 'nothing'}")
        with open_dict(tree.probe):
            del tree.probe[key.removeprefix("probe.")]
        return
    inside_hydra = _is_hydras(override)
    adds = override.is_add() or override.is_force_add()
    if not has_key(tree, key) and not (inside_hydra and (adds or _is_open(tree, key))):
        raise unknown_key(key, tree, GROUPS)
    if override.is_add() and not inside_hydra:
        raise ConfigError(f"{override.input_line}: the key exists already; write {str(override.input_line)[1:]}")
    if not inside_hydra:
        _check_value(tree, key, value)
    try:
        OmegaConf.update(tree, key, value, merge=True, force_add=inside_hydra and adds)
    except (OmegaConfBaseException, ValueError) as error:
        raise explain(error, key) from error
