"""The lines of `rnnbench list` and of the help: groups, their choices and the keys of a choice, from YAML files."""

import dataclasses
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.config.classes import is_packaged
from rnnbench.config.errors import ConfigError
from rnnbench.config.limits import describe_bounds
from rnnbench.config.nearest import MOST, did_you_mean, nearest_choices, nearest_keys, not_a_choice
from rnnbench.config.own_keys import own_keys_per_replica
from rnnbench.config.ranges import stated_ranges
from rnnbench.config.request import Request
from rnnbench.config.schema import Config
from rnnbench.config.trust import folders_of_classes
from rnnbench.config.usual_words import usual_keys
from rnnbench.config.validate import MARKABLE

GROUPS = {
    "task": "the task to learn",
    "model": "the net",
    "init": "its initial parameters",
    "optim": "the optimizer",
    "schedule": "its learning rate during training",
    "probe": "what is measured during training",
    "experiment": "named settings across groups",
}
KEYS = "keys"  # stands for the keys outside the groups
COMMENTED_KEY = re.compile(r"^(?P<indent> *)(?P<key>\w+):[^#]*# (?P<help>.+)$")


@dataclass(frozen=True)
class Choices:
    """The choices of every group, from one or more configuration folders.

    Attributes:
        folders: Absolute paths; if several contain the same choice, the first one counts.
    """

    folders: Sequence[Path]

    def files(self, group: str) -> dict[str, Path]:
        """Name of each choice of a group -> its file."""
        files: dict[str, Path] = {}
        for folder in self.folders:
            root = folder / group
            for path in sorted(root.rglob("*.yaml")):
                files.setdefault(path.relative_to(root).with_suffix("").as_posix(), path)
        return files

    def summaries(self, group: str) -> dict[str, str]:
        """Name of each choice of a group -> the first comment of its file."""
        return {name: _first_comment(path) for name, path in self.files(group).items()}


def _first_comment(path: Path) -> str:
    """The first comment of a file, except Hydra's directives."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and not line.startswith("# @"):
            return line.lstrip("# ").strip()
        if line.strip() and not line.startswith("#"):
            break
    return "(no comment at the top of its file)"


def comments_of(path: Path) -> dict[str, str]:
    """Dotted key of a YAML file -> the comment on its line."""
    comments: dict[str, str] = {}
    parents: list[tuple[int, str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        match = re.match(r"^( *)(\w+):", line)
        if match is None:
            continue
        indent = len(match[1])
        parents = [(depth, name) for depth, name in parents if depth < indent] + [(indent, match[2])]
        commented = COMMENTED_KEY.match(line)
        if commented:
            comments[".".join(name for _, name in parents)] = commented["help"].strip()
    return comments


@dataclass(frozen=True)
class Key:
    """One row of a table of keys.

    Attributes:
        name: Dotted name.
        default: Default value, as in YAML.
        limits: Choices or bounds.
        per_replica: Whether the replicas of a run may differ in this key.
        help: Description in one sentence.
        searched: Range in which `rnnbench tune` searches the key; empty if it does not.
    """

    name: str
    default: str
    limits: str
    per_replica: bool
    help: str
    searched: str = ""


def _yaml_value(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"[{', '.join(_yaml_value(entry) for entry in value)}]"
    return str(value)


def rows_of(
    node: Mapping[str, Any], schema: Any, comments: Mapping[str, str], prefix: str, inside: str = ""
) -> Iterator[Key]:
    """The rows of a part of the configuration.

    Args:
        node: Keys and values, with interpolations not resolved.
        schema: Dataclass of this part; any other value if it has none.
        comments: Dotted key in the file -> comment.
        prefix: Prefix of the keys on the command line, with a dot at the end.
        inside: Prefix of the keys in the file.
    """
    fields = {field.name: field for field in dataclasses.fields(schema)} if dataclasses.is_dataclass(schema) else {}
    for name, value in node.items():
        field = fields.get(name)
        if isinstance(value, Mapping):
            yield from rows_of(value, field and field.type, comments, f"{prefix}{name}.", f"{inside}{name}.")
            continue
        metadata: Mapping[str, Any] = field.metadata if field else {}
        yield Key(
            name=f"{prefix}{name}",
            default=_yaml_value(value),
            limits=" | ".join(metadata.get("choices", ())) or describe_bounds(metadata),
            per_replica=metadata.get("per_replica", False),
            help=metadata.get("help") or comments.get(f"{inside}{name}", ""),
        )


def keys_of_choice(request: Request, group: str, choice: str) -> list[Key]:
    """The keys of a choice, except its name and class.

    Args:
        request: Request with the configuration folders.
        group: A group other than experiment.
        choice: One of its choices.

    Raises:
        ConfigError: The choice does not exist, or its file is not valid.
    """
    from omegaconf import OmegaConf

    from rnnbench.config.compose import Composer

    files = folders_of(request).files(group)
    if choice not in files:
        raise ConfigError(not_a_choice(group, choice, files))
    with Composer(request) as composer:
        node = composer.compose_tree([f"{group}={choice}"])[0][group]
    values: Any = OmegaConf.to_container(node, resolve=False)
    schemas = {name: OmegaConf.get_type(node, name) for name in values} if group == "probe" else {}
    comments = comments_of(files[choice])
    if schemas:
        rows = [
            row
            for name, part in values.items()
            for row in rows_of(part, schemas[name], comments, f"probe.{name}.", f"{name}.")
        ]
    else:
        rows = list(rows_of(values, OmegaConf.get_type(node), comments, f"{group}."))
    marked = [f"{group}.{name}" for name in _own_keys_per_replica(request, group, values, OmegaConf.get_type(node))]
    rows = [dataclasses.replace(row, per_replica=True) if row.name in marked else row for row in rows]
    searched = (
        {f"optim.{name}": pair for name, pair in stated_ranges(files, choice).items()} if group == "optim" else {}
    )
    rows = [
        dataclasses.replace(row, searched=" to ".join(map(_yaml_value, searched[row.name])))
        if row.name in searched
        else row
        for row in rows
    ]
    return [row for row in rows if row.name.rpartition(".")[2] not in ("name", "_target_")]


def _own_keys_per_replica(request: Request, group: str, values: Mapping[str, Any], schema: Any) -> list[str]:
    """The keys of a user's own choice in which replicas may differ; none if its class cannot be imported."""
    target = values.get("_target_")
    if group not in MARKABLE or not isinstance(target, str) or is_packaged(group, target):
        return []
    typed = {field.name for field in dataclasses.fields(schema)} if dataclasses.is_dataclass(schema) else set()
    folders_of_classes(request.config_dir).add_to_path()
    try:
        return own_keys_per_replica(group, target, {name: values[name] for name in values if name not in typed})
    except ConfigError:
        return []


def keys_beside_groups(request: Request) -> list[Key]:
    """The keys outside the groups: seed, device, budget and so on.

    Raises:
        ConfigError: The main configuration file is not valid.
    """
    from omegaconf import OmegaConf

    from rnnbench.config.compose import Composer

    with Composer(request) as composer:
        tree: Any = OmegaConf.to_container(composer.compose([]).tree, resolve=False)
    return list(rows_of({key: tree[key] for key in tree if key not in {*GROUPS, "hydra"}}, Config, {}, ""))


def folders_of(request: Request) -> Choices:
    """The choices in the configuration folders of a request."""
    return Choices([request.main_dir, *([request.config_dir] if request.config_dir else [])])


def default_choices(request: Request) -> dict[str, str]:
    """Group -> its default choice."""
    from omegaconf import DictConfig, OmegaConf

    defaults = [] if request.main_file is None else OmegaConf.select(OmegaConf.load(request.main_file), "defaults")
    entries = [entry for entry in defaults or [] if isinstance(entry, DictConfig)]
    return {str(key): str(value) for entry in entries for key, value in entry.items()}


def group_lines(request: Request, groups: Sequence[str]) -> Iterator[str]:
    """Lines with groups and their choices."""
    choices, defaults = folders_of(request), default_choices(request)
    for group in groups:
        summaries = choices.summaries(group)
        if not summaries and len(groups) > 1:
            continue
        yield f"{group}: {GROUPS[group]}"
        width = max(map(len, summaries), default=0)
        for name, summary in summaries.items():
            mark = "*" if defaults.get(group) == name else " "
            yield from wrapped_row(f"  {mark} {name:<{width}}  ", summary)
        if not summaries:
            yield "    (no choices; --config-dir may add some)"


def key_lines(keys: Sequence[Key]) -> Iterator[str]:
    """Lines with keys as they are typed, their limits and their descriptions."""
    heads = [f"  {key.name}={key.default}" for key in keys]
    width = min(max(map(len, heads), default=0), 44)
    for key, head in zip(keys, heads, strict=True):
        per_replica, searched = (
            "per replica" if key.per_replica else "",
            f"tune: {key.searched}" if key.searched else "",
        )
        notes = "; ".join(note for note in (key.limits, per_replica, searched) if note)
        yield from wrapped_row(f"{head:<{width}}  ", f"{key.help} ({notes})" if notes else key.help)


def wrapped_row(head: str, text: str) -> list[str]:
    """One row; on a terminal its text is wrapped, elsewhere it stays on one line for programs that read it."""
    if not sys.stdout.isatty():
        return [f"{head}{text}".rstrip()]
    columns = max(shutil.get_terminal_size().columns, len(head) + 20)
    return textwrap.wrap(text, columns - len(head), initial_indent=head, subsequent_indent=" " * len(head)) or [head]


def _nothing_to_list(request: Request, words: Sequence[str]) -> str:
    """The message for arguments that are no group or choice, with suggestions."""
    from rnnbench.config.explain import choices_with

    given, folders = " ".join(words), folders_of(request)
    choices = {group: folders.files(group) for group in GROUPS}
    found = [f"{group} {name}" for group, names in choices.items() for name in names if name in words]
    found += nearest_keys(given, [*GROUPS, KEYS])
    keys = [part for key in (given, *usual_keys(given)) for part in choices_with(key).items()]
    found += [f"{key.partition('.')[0]} {names[0]}" for key, names in keys]
    found = found or [f"{group} {name}" for group in choices for name in nearest_choices(group, given, choices[group])]
    near = did_you_mean(f"rnnbench list {two}" for two in dict.fromkeys(found[:MOST]))
    return f"there is no group {given!r}{near} (groups: {', '.join([*GROUPS, KEYS])})"


def list_lines(request: Request, words: Sequence[str]) -> Iterator[str]:
    """What `rnnbench list WORDS` shows.

    Args:
        request: Request with the configuration folders.
        words: Arguments of the command: nothing, GROUP, GROUP and CHOICE, or `keys` for the keys outside the groups.

    Raises:
        ConfigError: The group or choice does not exist.
    """
    group, *rest = [part for word in words for part in word.replace("=", ".").split(".", 1)] or [""]
    if not group:
        yield from group_lines(request, list(GROUPS))
        yield "* is the default. rnnbench list GROUP CHOICE shows the keys of a choice, rnnbench list keys the others."
    elif group == KEYS and not rest:
        yield from key_lines(keys_beside_groups(request))
    elif group not in GROUPS or len(rest) > 1:
        raise ConfigError(_nothing_to_list(request, words))
    elif not rest:
        yield from group_lines(request, [group])
    elif group == "experiment":
        files = folders_of(request).files(group)
        if rest[0] not in files:
            raise ConfigError(not_a_choice(group, rest[0], files))
        yield from files[rest[0]].read_text(encoding="utf-8").splitlines()
    else:
        keys = keys_of_choice(request, group, rest[0])
        yield from wrapped_row(f"{group}={rest[0]}: ", folders_of(request).summaries(group)[rest[0]])
        yield from key_lines(keys) if keys else ["  (no keys)"]
