"""result.json: the outcome of an experiment, with everything that its page needs. Strict JSON."""

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
        rule: Rule by which the claim was judged.
        findings: Measured numbers, each with its claim.
        verdict: Verdict that follows from the findings.
        decided_by: Finding that decides the verdict.
        seconds: Wall-clock time of all processes together.
        measured: All measured numbers.
        command: Command line of the experiment.
        versions: Versions of Python and the packages that determine the numbers.
        git: Revision of the checkout; None: it did not run from a checkout.
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
    """Replace the result.json of an experiment.

    Raises:
        RecordError: The file cannot be written.
    """
    replace_file(folder / FILE_NAME, json.dumps(_rounded(asdict(result)), allow_nan=False) + "\n")


def read_result(folder: Path) -> Result:
    """Read the result.json of an experiment.

    Raises:
        ConfigError: The file is missing or not a valid result.
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
        raise ConfigError(f"{path} is not the result of an experiment: {error}") from error


def _finding(contents: Mapping[str, Any]) -> Finding:
    interval = contents["interval"]
    role = "context" if contents["role"] == "beside" else contents["role"]  # "beside": results of earlier versions
    return Finding(**{**contents, "interval": None if interval is None else tuple(interval), "role": role})


def _rounded(value: Any) -> Any:
    """Round numbers to six significant digits, far more than the intervals need; null: not finite."""
    if isinstance(value, Mapping):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(entry) for entry in value]
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
