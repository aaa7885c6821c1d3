"""Turns errors of Hydra and OmegaConf into one line: the key, what is wrong, and what would be right."""

import dataclasses
import functools
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rnnbench.config import schema
from rnnbench.config.declaration import DECLARED
from rnnbench.config.errors import ConfigError
from rnnbench.config.nearest import any_of, did_you_mean, nearest_keys, no_such_key, one_edit_apart
from rnnbench.config.register import CLASSES
from rnnbench.config.usual_words import usual_keys
from rnnbench.config.values import describe_type, show_value
from rnnbench.paths import conf_dir

FOLDER_KEYS = ("hydra.run.dir", "hydra.sweep.dir")
"""Keys of Hydra that are suggested for a key without a group."""

FEW_KEYS = 6
"""Largest number of keys that a message lists if no key is similar to the given one."""


def leaf_keys(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    """The dotted key of every value of nested mappings that is not a mapping itself."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaf_keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def keys_of(config: DictConfig, *, hydra: bool = False) -> list[str]:
    """Every dotted key of a configuration that takes a value.

    Args:
        config: Complete configuration, including Hydra's own part.
        hydra: Whether to return the keys of Hydra's part, or all others.
    """
    tree = OmegaConf.to_container(config, resolve=False)
    assert isinstance(tree, dict)
    own = tree.pop("hydra", {})
    return list(leaf_keys({"hydra": own} if hydra else tree))


BUILDS_ON = re.compile(r"/schema/(\w+)/(\w+)@_here_")


@functools.cache
def _packaged_choices() -> dict[str, list[str]]:
    """For the choices of the package: dotted key -> names of the choices that have it, rnnbench's own classes first."""
    choices: dict[str, list[str]] = {}
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(conf_dir().glob("*/*.yaml"))}
    for path, text in sorted(texts.items(), key=lambda each: "_target_: rnnbench." not in each[1]):
        schemas = BUILDS_ON.search(text)
        for option in dataclasses.fields(DECLARED[schemas[1]][schemas[2]].node) if schemas else ():
            choices.setdefault(f"{path.parent.name}.{option.name}", []).append(path.stem)
    return choices


def choices_with(key: str) -> dict[str, list[str]]:
    """All choices of the package that have a key, as dotted key -> names of the choices.

    Args:
        key: A dotted key, or its last part alone.
    """
    return {dotted: names for dotted, names in _packaged_choices().items() if key in (dotted, dotted.partition(".")[2])}


def has_key(config: DictConfig, key: str) -> bool:
    """Whether a dotted key exists, with or without a value; an index of a list is a key too."""
    node: Any = config
    parts = key.split(".")
    for depth, part in enumerate(parts):
        if isinstance(node, ListConfig):
            if not part.isdigit() or int(part) >= len(node):
                return False
        elif not isinstance(node, DictConfig) or part not in list(node.keys()):
            return False
        if depth == len(parts) - 1:
            return True
        node = OmegaConf.select(config, ".".join(parts[: depth + 1]))
    return False


def unknown_key(key: str, config: DictConfig, groups: Sequence[str] = ()) -> ConfigError:
    """The error on a key that does not exist.

    Args:
        key: Key as typed.
        config: Complete configuration, or the part that could be composed.
        groups: Names of the groups, as further suggestions.
    """
    keys = keys_of(config, hydra=key.startswith("hydra."))
    known = keys if "." in key else [*keys, *groups, *FOLDER_KEYS]
    near, usual = nearest_keys(key, known), usual_keys(key)
    for dotted, names in choices_with(key).items():
        if dotted not in keys:
            group = dotted.partition(".")[0]
            chosen = OmegaConf.select(config, f"{group}.name")
            where = f"{group}={chosen} has no key {dotted}; it belongs to {group}={any_of(names)}"
            # A key that another choice of the group has is hardly a word for a key of another group.
            likely = [name for name in near if name in usual and (dotted != key or name.startswith(f"{group}."))]
            return ConfigError(f"{where}{did_you_mean(likely)}")
    others = sorted(_packaged_choices().keys() - set(known))
    is_slip = any(one_edit_apart(key, name) for name in near)
    if not near or not (is_slip or near[0] in usual or set(usual).isdisjoint(others)):
        for dotted in nearest_keys(key, others)[:1]:
            choices = f"{dotted.partition('.')[0]}={any_of(_packaged_choices()[dotted])}"
            return ConfigError(f"{no_such_key(key)}{did_you_mean([f'{dotted} of {choices}'])}")
    return ConfigError(f"{no_such_key(key)}{did_you_mean(near) or _where_to_look(key, config, keys, groups)}")


def _where_to_look(key: str, config: DictConfig, keys: Sequence[str], groups: Sequence[str]) -> str:
    """The end of a message if no key is similar: the other keys of the group, or the command that lists them."""
    top = key.partition(".")[0]
    siblings = [name.removeprefix(f"{top}.") for name in keys if name.startswith(f"{top}.") and name[-1] != "_"]
    if 0 < len(siblings) <= FEW_KEYS:
        return f"; {top} has {', '.join(siblings)}"
    if top == "hydra":
        return "; rnnbench train --cfg hydra shows Hydra's keys"
    if siblings and top in groups:
        words = [top, *filter(None, [OmegaConf.select(config, f"{top}.name")])]
        return f"; rnnbench list {' '.join(words)} shows its keys"
    return "; rnnbench list shows the groups, rnnbench list keys the other keys"


NOISE = re.compile(r"full_key:|object_type=|reference_type=|Error merging|.* raised while composing config:$|$")


def explain(error: BaseException, key: str = "") -> ConfigError:
    """Turn an error of Hydra, OmegaConf or the YAML parser into a `ConfigError`.

    Args:
        error: The error; a `ConfigError` is returned as it is.
        key: Key that was being set, used if the error does not name a key.
    """
    if isinstance(error, ConfigError):
        return error
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return ConfigError(f"{mark.name}, line {mark.line + 1}: {getattr(error, 'problem', error)}")
    chain = [error]
    while (link := chain[-1].__cause__ or chain[-1].__context__) is not None and link not in chain:
        chain.append(link)
    text = "\n".join(str(part) for part in chain)
    file = re.match(r"In '([^']+)': ", text)
    prefix = f"in {file[1]}.yaml: " if file else ""
    missing = re.search(r"[Mm]issing mandatory value: (\S+)", text)
    if missing:
        return ConfigError(f"{prefix}{missing[1]}: a value is needed")
    known = re.search(r"full_key: (\S+)", text)
    full_key = known[1] if known else key
    lacking = re.search(r"Key '[^']+' (?:is )?not in '(\w+)'", text)
    if lacking:
        node = CLASSES.get(lacking[1]) or getattr(schema, lacking[1], None)
        fields = getattr(node, "__dataclass_fields__", {})
        group = full_key.rpartition(".")[0]
        near = did_you_mean(nearest_keys(full_key, [f"{group}.{name}".lstrip(".") for name in fields]))
        return ConfigError(f"{prefix}there is no key {full_key}{near}")
    lines = text.removeprefix(file[0] if file else "").splitlines()
    useful = next((line.strip() for line in lines if not NOISE.match(line.strip())), type(error).__name__)
    added = re.search(r"To append to your default list use (\S+)", text)
    useful += f" To add it: {added[1]}" if added else ""
    return ConfigError(f"{prefix}{full_key}: {useful}" if full_key else f"{prefix}{useful}")


def _fits(default: Any, value: Any) -> bool:
    """Whether the type of a value is that of the default of an untyped key."""
    if default is None or value is None or (isinstance(value, str) and "${" in value):
        return True
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)


@functools.cache
def _type_hints(node_type: Any) -> dict[str, Any]:
    """The types of the fields of a dataclass; empty for any other type."""
    return typing.get_type_hints(node_type) if dataclasses.is_dataclass(node_type) else {}


@functools.cache
def _trial(dataclass: Any) -> DictConfig:
    """A configuration of a dataclass for trying values; cached, because creating one takes a millisecond."""
    trial: DictConfig = OmegaConf.structured(dataclass)
    return trial


def wrong_type(config: DictConfig, key: str, value: Any) -> str | None:
    """The message for a value of the wrong type; None if the type is right.

    Args:
        config: Configuration before the value is set.
        key: Dotted key, which exists.
        value: New value.
    """
    parent_key, _, name = key.rpartition(".")
    parent = OmegaConf.select(config, parent_key) if parent_key else config
    type_of_parent: Any = OmegaConf.get_type(parent)
    hints = _type_hints(type_of_parent)
    if name in hints:
        try:
            _trial(type_of_parent)[name] = value
        except OmegaConfBaseException:
            return f"{key} must be {describe_type(hints[name])}, got {show_value(value)}"
        return None
    if not isinstance(parent, DictConfig) or OmegaConf.is_interpolation(parent, name):
        return None
    default: Any = OmegaConf.to_container(config, resolve=False)
    for part in key.split("."):
        default = default[part]
    if _fits(default, value):
        return None
    return f"{key} must be {describe_type(type(default))}, got {show_value(value)}"
