import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from rnnbench import __version__

ROOT = Path(__file__).parents[2]


SHOW_LAUNCHER = ["-m", "rnnbench", "train", "--cfg=hydra", "--package=hydra.launcher"]
PLUGINS_FILE = "import hydra_plugins.rnnbench_batched as plugins; print(plugins.__file__)"


def build(hook, folder, root=ROOT):
    """Call a hook of the build backend, which makes one file in a folder."""
    program = f"import sys; from hatchling.build import {hook}; {hook}(sys.argv[1])"
    subprocess.run([sys.executable, "-c", program, folder], cwd=root, check=True, capture_output=True)
    (made,) = folder.iterdir()
    return made


def names_in(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert len(names) == len(set(names))
    return set(names)


def python(*words, cwd, path=None):
    """Standard output of this Python, in another folder, with a folder on its path or without."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {} if path is None else {"PYTHONPATH": str(path)}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build("build_wheel", tmp_path_factory.mktemp("wheel"))


@pytest.mark.slow
def test_wheel_holds_the_package_conf_plugins_and_nothing_else(wheel):
    names = names_in(wheel)
    assert {name.split("/")[0] for name in names} == {"rnnbench", "hydra_plugins", f"rnnbench-{__version__}.dist-info"}
    assert {"rnnbench/py.typed", "rnnbench/paths.py"} <= names
    assert {name for name in names if "hydra_plugins" in name or "_hydra/" in name} == {
        "hydra_plugins/rnnbench_batched.py"
    }
    conf = {f"rnnbench/{path.relative_to(ROOT)}" for path in (ROOT / "conf").rglob("*.yaml")}
    assert "rnnbench/conf/config.yaml" in conf
    assert {name for name in names if name.startswith("rnnbench/conf/")} == conf


@pytest.mark.slow
def test_wheel_from_the_source_distribution_is_the_same(wheel, tmp_path):
    with tarfile.open(build("build_sdist", tmp_path)) as archive:
        archive.extractall(tmp_path, filter="data")
    (root,) = (path for path in tmp_path.iterdir() if path.is_dir())
    (tmp_path / "wheel").mkdir()
    assert names_in(build("build_wheel", tmp_path / "wheel", root)) == names_in(wheel)


@pytest.mark.slow
def test_plugins_of_the_wheel_are_found_from_another_folder(wheel, tmp_path):
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    assert python("-c", PLUGINS_FILE, cwd=tmp_path, path=installed).startswith(str(installed))
    assert "_target_: hydra_plugins.rnnbench_batched." in python(*SHOW_LAUNCHER, cwd=tmp_path, path=installed)


@pytest.mark.slow
def test_plugins_of_an_editable_install_are_found_from_another_folder(tmp_path):
    made = Path(python("-c", PLUGINS_FILE, cwd=tmp_path).strip())
    assert made == ROOT / "rnnbench/_hydra/hydra_plugins/rnnbench_batched.py"  # no copy that goes stale
    assert "_target_: hydra_plugins.rnnbench_batched." in python(*SHOW_LAUNCHER, cwd=tmp_path)


def test_import_of_the_package_brings_no_other_package_with_it():
    program = "import sys; before = set(sys.modules); import rnnbench; print(*sorted(set(sys.modules) - before))"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    brought = {name.partition(".")[0] for name in result.stdout.split()}
    assert brought - sys.stdlib_module_names == {"rnnbench"}


def test_version_is_the_same_everywhere():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {__version__}\n" in citation
    released = re.findall(r"^## \[(\d[^]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[0] == __version__


def test_tools_that_judge_the_code_are_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {line.split("==")[0] for line in project["optional-dependencies"]["dev"] if "==" in line}
    assert {"ruff", "mypy", "pytest"} <= pinned
