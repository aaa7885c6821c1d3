"""Which part of the package may import which: imports point one way, from the command line to the arithmetic."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (ROOT / "rnnbench").rglob("*.py")}
ABOVE = {"benchmarks", "docs", "scripts", "tests"}  # what a checkout has beside the package, and a wheel has not

BASE = {"kernels", "linear_algebra", "losses", "tasks", "models", "init"}
MAY_IMPORT = {
    "linear_algebra": set(),
    "losses": {"losses"},
    "tasks": {"metrics", "tasks"},  # a task knows no model
    "kernels": {"kernels"},
    "models": {"kernels", "models", "tasks"},  # a model sees batches and knows no loss
    "init": {"init", "linear_algebra", "models"},
    "objective": {*BASE, "objective"},
    "optim": {
        "losses",
        "tasks",
        "metrics",
        "objective",
        "optim",
    },  # an optimizer sees vectors and objectives, never a model
    "diagnostics": {"diagnostics", "linear_algebra"},
    "probes": {*BASE, "metrics", "objective", "optim", "diagnostics", "probes"},
    "metrics": set(),
    "records": {"metrics", "records"},
    "report": {"records", "report"},
    "training": {*BASE, "metrics", "objective", "optim", "probes", "records", "training"},
}
ARITHMETIC = {*BASE, "objective", "optim", "diagnostics", "probes"}
FRAMEWORKS = {"hydra", "omegaconf", "tensorboard", "torch.utils.tensorboard"}
FILE_ACCESS = {"os", "pathlib", "shutil", "tempfile"}
FORBIDDEN = {
    **{arithmetic: FRAMEWORKS | FILE_ACCESS for arithmetic in ARITHMETIC},
    "records": {"torch", "hydra", "omegaconf"},
    "report": {"torch", "pandas", *FRAMEWORKS},
    "training": {"hydra", "omegaconf", "tensorboard"},
}
WITHOUT_LAPACK = {"vector_norm", "vecdot"}  # sums over entries
LAPACK = {  # functions of torch, and methods of its tensors
    *(
        "cholesky",
        "cholesky_inverse",
        "cholesky_solve",
        "det",
        "eig",
        "eigh",
        "eigvals",
        "eigvalsh",
        "geqrf",
        "inverse",
    ),
    *("ldl_factor", "lobpcg", "logdet", "lstsq", "lu_factor", "lu_solve", "matrix_exp", "matrix_norm", "matrix_rank"),
    *("nuclear_norm", "ormqr", "pca_lowrank", "pinv", "pinverse", "qr", "slogdet", "svd", "svd_lowrank", "svdvals"),
    "triangular_solve",
}
BATCHES = "rnnbench.tasks.base"  # all that the others know of tasks
MAY_IMPORT_CONFIG = {
    "_hydra",
    "bench",
    "cli",
    "config",
    "experiments",
    "following",
    "hydra_command",
    "keeping",
    "machine",
    "probing",
    "resume_point",
    "resuming",
    "run",
    "session",
    "sweep",
}
STARTS_WITHOUT_TORCH = {"_hydra", "cli", "exit_status", "hydra_command", "config", "__init__", "paths", "report"}


def part(module):
    return [*module.split("."), "__init__"][1]


def imports(node, *, inside_functions):
    """Full names of the modules that a piece of code imports, those for type checkers only left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: relative import"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        elif inside_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports(child, inside_functions=inside_functions)


def imported(module, *, inside_functions=True):
    return set(imports(ast.parse(FILES[module].read_text()), inside_functions=inside_functions))


def is_from(name, packages):
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("module", sorted(FILES))
def test_imports_stay_within_the_layers(module):
    here = part(module)
    names = imported(module)
    parts = {part(name) for name in names if name.startswith("rnnbench.")}
    assert parts <= MAY_IMPORT.get(here, parts)
    if here in MAY_IMPORT and here != "tasks":
        assert [name for name in names if is_from(name, {"rnnbench.tasks"}) and not is_from(name, {BATCHES})] == []
    assert "config" not in parts or here in MAY_IMPORT_CONFIG
    assert "bench" not in parts or here in {"bench", "cli"}  # it measures the others
    assert [name for name in names if is_from(name, {*FORBIDDEN.get(here, ()), *ABOVE})] == []


@pytest.mark.parametrize("folder", ["benchmarks", "docs/make"])
def test_what_lies_above_the_package_imports_the_package_alone(folder):
    own = folder.partition("/")[0]
    for path in (ROOT / folder).rglob("*.py"):
        names = set(imports(ast.parse(path.read_text()), inside_functions=True))
        assert [name for name in names if is_from(name, ABOVE - {own})] == [], path


@pytest.mark.parametrize("module", sorted(name for name in FILES if part(name) in ARITHMETIC))
def test_arithmetic_opens_no_file(module):
    nodes = ast.walk(ast.parse(FILES[module].read_text()))
    called = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
    assert not called & {"open", "io.open", "torch.save", "torch.load"}


@pytest.mark.parametrize("module", sorted(name for name in FILES if part(name) != "linear_algebra"))
def test_only_linear_algebra_calls_lapack(module):
    """On numbers that are not finite LAPACK may end the process, and with it the healthy replicas."""
    tree = ast.parse(FILES[module].read_text())
    assert [name for name in imported(module) if "linalg" in name or is_from(name, {"scipy"})] == []
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    of_linalg = {node.attr for node in used if ast.unparse(node.value).endswith("linalg")}
    assert of_linalg <= WITHOUT_LAPACK
    assert [ast.unparse(node) for node in used if node.attr in LAPACK] == []


@pytest.mark.parametrize("module", sorted(name for name in FILES if part(name) in STARTS_WITHOUT_TORCH))
def test_start_up_reaches_no_torch(module):
    seen, waiting = set(), [module]
    while waiting:
        current = waiting.pop()
        seen.add(current)
        for name in imported(current, inside_functions=False):
            assert not is_from(name, {"torch"}), f"{current} imports {name}"
            inner = (name, f"{name}.__init__", name.rpartition(".")[0], f"{name.rpartition('.')[0]}.__init__")
            waiting += [each for each in inner if each in FILES and each not in seen]
