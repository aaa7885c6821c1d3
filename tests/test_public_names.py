"""The public names of rnnbench: what `import rnnbench` gives."""

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import rnnbench
from rnnbench.config.packaged_tasks import packaged_tasks

STUB = Path(rnnbench.__file__).with_suffix(".pyi")


def test_the_stub_names_the_modules_of_the_table():
    imports = [node for node in ast.parse(STUB.read_text()).body if isinstance(node, ast.ImportFrom)]
    named = {alias.asname or alias.name: node.module for node in imports for alias in node.names}
    packages = {name for name, module in named.items() if module == "rnnbench"}
    assert {name: module for name, module in named.items() if name not in packages} == rnnbench.PUBLIC
    assert all(getattr(rnnbench, name).__name__ == f"rnnbench.{name}" for name in packages)


@pytest.mark.parametrize("name", sorted(rnnbench.PUBLIC))
def test_every_public_name_is_imported_and_described(name):
    assert name in dir(rnnbench)
    assert getattr(rnnbench, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'rnnbench' has no attribute 'nope'"):
        rnnbench.nope  # noqa: B018


def test_python_names_the_class_of_a_task_in_errors_of_its_arguments():
    for name in {task.func.__name__ for task in packaged_tasks().values()}:
        assert getattr(rnnbench.tasks, name).__init__.__qualname__ == f"{name}.__init__"


def test_import_is_light_and_no_package_takes_the_name_of_a_function(tmp_path):
    """Importing a package sets it as an attribute of the one above it."""
    packages = [module.name for module in pkgutil.iter_modules(rnnbench.__path__) if module.name in rnnbench.PUBLIC]
    code = f"""
import sys, types
import rnnbench
assert not {{"torch", "hydra", "omegaconf", "numpy", "matplotlib", "rich"}} & set(sys.modules)
for name in {packages}:
    __import__(f"rnnbench.{{name}}")
    assert not isinstance(getattr(rnnbench, name), types.ModuleType), name
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
