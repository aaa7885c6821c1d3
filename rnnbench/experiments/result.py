"""result.json: what an experiment came to, with everything that its page needs. Strict JSON."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rnnbench.config.errors import ConfigError
from rnnbench.config.rule import Rule
from rnnbench.experiments.verdict import Answer, Finding
from rnnbench.records.whole_file import replace_file

FILE_NAME = "result.json"


@dataclass(frozen=True)
class Result:
    """The outcome of an experiment.

    Attributes:
        rule: By which it was judged.
        findings: Measured beside claimed.
        verdict: Verdict that follows from the findings.
        decided_by: The finding that decides.
        seconds: That it took, all processes together.
        measured: All measured numbers.
        command: That made it.
        versions: Of Python and the packages that decide the numbers.
        git: Revision of the checkout, where it is one.
    """

    rule: Rule
    findings: Sequence[Finding]
    verdict: Answer
    decided_by: Finding
    seconds: float
    measured: Mapping[str, Any]
    command: str
    versions: Mapping[str, str]
    git: str | None


def write_result(folder: Path, result: Result) -> None:
    """Replace an experiment's result.json.

    Raises:
        RecordError: It cannot be written.
    """
    replace_file(folder / FILE_NAME, json.dumps(_rounded(asdict(result)), allow_nan=False) + "\n")


def read_result(folder: Path) -> Result:
    """Read an experiment's result.json.

    Raises:
        ConfigError: It is missing or is no result.
    """
    path = folder / FILE_NAME
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
        findings = [_finding(one) for one in contents["findings"]]
        parts = {"rule": Rule(**contents["rule"]), "findings": findings, "decided_by": _finding(contents["decided_by"])}
        return Result(**{**contents, **parts})
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} is no result of an experiment: {error}") from error


def _finding(contents: Mapping[str, Any]) -> Finding:
    interval = contents["interval"]
    return Finding(**{**contents, "interval": None if interval is None else tuple(interval)})


def _rounded(value: Any) -> Any:
    """The value with six significant digits to a number, far within every interval; null where it is not finite."""
    if isinstance(value, Mapping):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(entry) for entry in value]
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
