"""The rule of an experiment: what is claimed, and when it counts as shown; it stands in conf/experiment/."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped] # its stubs are no dependency of ours
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rnnbench.config.errors import ConfigError
from rnnbench.config.nearest import not_a_choice
from rnnbench.paths import conf_dir

GROUP = "experiment"


@dataclass(frozen=True)
class Rule:
    """What an experiment claims, does and is judged by.

    Attributes:
        name: As in its file.
        _target_: The class that measures, draws and judges it.
        section: Of Goodfellow, Bengio and Courville, *Deep Learning*.
        sentence: What the book says there.
        claim: What of it is tested.
        theory: Where theory says something else than the book, or more; "" where it does not.
        control: The negative control: a setting in which the claim must fail.
        settings: Numbers of the measurement; those of `quick` have replaced some where a quick run was asked for.
        thresholds: Numbers of the judgement.
        sweeps: Name -> the words of one `rnnbench train -m`.
        quick: Whether it is that of a quick run.
    """

    name: str
    _target_: str
    section: str
    sentence: str
    claim: str
    theory: str
    control: str
    settings: Mapping[str, Any]
    thresholds: Mapping[str, float]
    sweeps: Mapping[str, Sequence[str]]
    quick: bool


def rule_names() -> list[str]:
    """Names of all experiments that the package has."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def load_rule(name: str, *, quick: bool = False, changes: Mapping[str, Any] | None = None) -> Rule:
    """Read a rule, every interpolation resolved.

    Args:
        name: Of the experiment.
        quick: Whether its quick settings replace the others.
        changes: Further settings that replace others.

    Raises:
        ConfigError: There is no such experiment, or its file is wrong.
    """
    names = rule_names()
    if name not in names:
        raise ConfigError(not_a_choice(GROUP, name, names))
    path = _folder() / f"{name}.yaml"
    try:
        tree: Any = OmegaConf.load(path)
        quick_settings = tree.pop("quick", {})
        tree.settings = OmegaConf.merge(tree.settings, quick_settings if quick else {}, dict(changes or {}))
        values: Any = OmegaConf.to_container(tree, resolve=True)
    except (OmegaConfBaseException, yaml.YAMLError, AttributeError) as error:
        raise ConfigError(f"{path}: {str(error).splitlines()[0]}") from error
    keys = [field.name for field in dataclasses.fields(Rule) if field.name != "quick"]
    if sorted(values) != sorted(keys):
        raise ConfigError(f"{path} must have the keys {', '.join(keys)} and quick, got {', '.join(map(str, values))}")
    return Rule(**values, quick=quick)


def is_rule(path: Path) -> bool:
    """Whether a file of the group `experiment` is a rule, which `rnnbench reproduce` reads, not `rnnbench train`."""
    return path.is_file() and re.search("^thresholds:", path.read_text(encoding="utf-8"), re.MULTILINE) is not None


def _folder() -> Path:
    return conf_dir() / GROUP
