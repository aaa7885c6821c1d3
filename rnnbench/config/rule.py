"""Rules of experiments, from conf/experiment/: what is claimed, how it is measured, and when the claim holds."""

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

WORDING = ("section", "sentence", "claim", "theory", "control", "reported")
"""Keys of a rule that describe it and do not change what is trained, measured or judged."""


@dataclass(frozen=True)
class Rule:
    """What an experiment claims, what it measures, and how the claim is judged.

    Attributes:
        name: Name of the experiment and of its file.
        _target_: Class that measures, draws and judges the experiment.
        section: Section of Goodfellow, Bengio and Courville, *Deep Learning*; or a paper, as in "Le et al. (2015)".
        sentence: What the book says there, or the paper.
        claim: The part of that sentence that is tested.
        theory: What theory adds to the book or says against it; "" if nothing.
        control: The negative control: a setting in which the claim must fail.
        settings: Settings of the measurement; a quick or a full run replaces some of them.
        thresholds: Thresholds of the verdict.
        sweeps: Name of each sweep -> its arguments for `rnnbench train -m`.
        quick: Whether this is the rule of a quick run.
        full: Whether this is the rule of a run of the paper's size.
        reported: The number that the source reports, in words; "": it reports none.
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
    full: bool = False
    reported: str = ""

    @property
    def source(self) -> str:
        """The section of the book, or the paper, as a sentence names it."""
        return f"section {self.section}" if self.section[0].isdigit() else self.section

    def decides_as(self, other: "Rule") -> bool:
        """Whether both rules train, measure and judge the same, whatever their wording."""
        same_wording = {name: getattr(self, name) for name in WORDING}
        return self == dataclasses.replace(other, **same_wording)


def rule_names() -> list[str]:
    """Names of all experiments of the package."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def load_rule(name: str, *, quick: bool = False, full: bool = False, changes: Mapping[str, Any] | None = None) -> Rule:
    """Read a rule and resolve its interpolations.

    Args:
        name: Name of the experiment.
        quick: Whether to use the settings of a quick run.
        full: Whether to use those of the paper's size.
        changes: Settings to replace, by name.

    Raises:
        ConfigError: There is no such experiment, its file is not a valid rule, or it has no settings of a full run.
    """
    names = rule_names()
    if name not in names:
        raise ConfigError(not_a_choice(GROUP, name, names))
    path = _folder() / f"{name}.yaml"
    try:
        tree: Any = OmegaConf.load(path)
        quick_settings, full_settings = tree.pop("quick", {}), tree.pop("full", {})
        replaced = quick_settings if quick else full_settings if full else {}
        tree.settings = OmegaConf.merge(tree.settings, replaced, dict(changes or {}))
        values: Any = OmegaConf.to_container(tree, resolve=True)
    except (OmegaConfBaseException, yaml.YAMLError, AttributeError) as error:
        raise ConfigError(f"{path}: {str(error).splitlines()[0]}") from error
    if full and not full_settings:
        raise ConfigError(f"{name} has no settings of a full run: its usual run has the size of its source")
    keys = [field.name for field in dataclasses.fields(Rule) if field.name not in ("quick", "full")]
    values.setdefault("reported", "")
    if sorted(values) != sorted(keys):
        raise ConfigError(f"{path} must have the keys {', '.join(keys)} and quick, got {', '.join(map(str, values))}")
    return Rule(**values, quick=quick, full=full)


def is_rule(path: Path) -> bool:
    """Whether a file of the group `experiment` is a rule for `rnnbench reproduce`, not a choice to train with."""
    return path.is_file() and re.search("^thresholds:", path.read_text(encoding="utf-8"), re.MULTILINE) is not None


def _folder() -> Path:
    return conf_dir() / GROUP
