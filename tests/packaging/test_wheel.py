import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from rnnbench import __version__

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_wheel_holds_the_package_and_conf_and_nothing_else(tmp_path):
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path,
        ROOT,
    ]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names} == {"rnnbench", f"rnnbench-{__version__}.dist-info"}
    assert {"rnnbench/py.typed", "rnnbench/paths.py"} <= names
    conf = {f"rnnbench/{path.relative_to(ROOT)}" for path in (ROOT / "conf").rglob("*.yaml")}
    assert "rnnbench/conf/config.yaml" in conf
    assert {name for name in names if name.startswith("rnnbench/conf/")} == conf


def test_import_of_the_package_brings_nothing_with_it():
    program = "import sys; before = set(sys.modules); import rnnbench; print(*sorted(set(sys.modules) - before))"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["rnnbench"]


def test_version_is_the_same_everywhere():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {__version__}\n" in citation
    released = re.findall(r"^## \[(\d[^]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[0] == __version__


def test_tools_that_judge_the_code_are_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {line.split("==")[0] for line in project["optional-dependencies"]["dev"] if "==" in line}
    assert {"ruff", "mypy", "pytest"} <= pinned
