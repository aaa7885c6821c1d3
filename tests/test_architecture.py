"""Which part of the package may import which: imports point one way, from the command line to the arithmetic."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (ROOT / "rnnbench").rglob("*.py")}
ABOVE = {"benchmarks", "docs", "scripts", "tests"}  # what a checkout has beside the package, and a wheel has not

BASE = {"kernels", "linear_algebra", "losses", "tasks", "models", "init"}
BELOW_TRAINING = {*BASE, "metrics", "objective", "optim", "diagnostics", "probes", "records"}
MAY_IMPORT = {  # a package imports itself and these
    "__init__": {"tasks"},  # whose names are imported at their first use
    "exit_status": set(),
    "paths": set(),
    "metrics": set(),
    "linear_algebra": set(),
    "losses": set(),
    "tasks": {"losses", "metrics"},  # a task knows no model
    "kernels": set(),
    "native": set(),
    # A model sees batches; its sweeps can hold the loss of outputs.
    "models": {"kernels", "linear_algebra", "losses", "native", "tasks"},
    "init": {"linear_algebra", "models"},
    "objective": BASE,
    # An optimizer sees vectors and objectives, never a model.
    "optim": {"losses", "tasks", "metrics", "objective", "linear_algebra"},
    "diagnostics": {"linear_algebra"},
    "probes": {*BASE, "metrics", "objective", "optim", "diagnostics"},
    "records": {"metrics", "__version__"},
    "reports": {"paths", "records", "__version__"},
    "training": BELOW_TRAINING,
    "config": {*BASE, "optim", "probes", "records", "exit_status", "paths"},
    "run": {*BELOW_TRAINING, "native", "training", "config", "exit_status"},
    "sweeps": {*BELOW_TRAINING, "training", "config", "exit_status", "reports", "run"},
    "probing": {*BELOW_TRAINING, "training", "config", "reports", "run", "sweeps"},
    "modules": {"config", "init", "models", "objective", "optim", "diagnostics", "probes", "records"},
    "checks": {*BELOW_TRAINING, "training", "config", "exit_status", "run"},
    "experiments": {*BELOW_TRAINING, "training", "config", "exit_status", "paths", "reports", "run", "sweeps"},
    "bench": {*BELOW_TRAINING, "training", "config", "exit_status", "run", "sweeps"},
    "_hydra": {"config"},
    "commands": {
        "config",
        "exit_status",
        "paths",
        "records",
        "reports",
        "run",
        "sweeps",
        "probing",
        "checks",
        "experiments",
        "bench",
        "modules",
    }
    | {"__version__"},
    "api": {
        *("commands", "config", "exit_status", "modules", "probing", "records", "reports", "run", "sweeps", "training")
    },
    "cli": {"commands", "config", "exit_status", "records", "training", "__version__"},
    "__main__": {"cli", "run"},
}
ARITHMETIC = {*BASE, "objective", "optim", "diagnostics", "probes"}
FRAMEWORKS = {"hydra", "omegaconf", "tensorboard", "torch.utils.tensorboard"}
FILE_ACCESS = {"os", "pathlib", "shutil", "tempfile"}
READS_FILES = "rnnbench.init.from_file"  # the only part of the arithmetic
FORBIDDEN = {
    **{arithmetic: FRAMEWORKS | FILE_ACCESS for arithmetic in ARITHMETIC},
    "records": {"torch", "hydra", "omegaconf"},
    "reports": {"torch", "pandas", *FRAMEWORKS},
    "training": {"hydra", "omegaconf", "tensorboard"},
}
WITHOUT_LAPACK = {"vector_norm", "vecdot", "solve_triangular"}  # sums over entries, and substitution by BLAS
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
STARTS_WITHOUT_TORCH = {"_hydra", "api", "cli", "commands", "exit_status", "config", "__init__", "paths", "reports"}


def part(module):
    return [*module.split("."), "__init__"][1]


def imports(node, *, inside_functions, for_types=True):
    """Full names of the modules that a piece of code imports.

    Args:
        node: The code.
        inside_functions: Whether imports inside functions count.
        for_types: Whether imports for type checkers alone count.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: relative import"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test) and not for_types:
            continue
        elif inside_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports(child, inside_functions=inside_functions, for_types=for_types)


def imported(module, *, inside_functions=True, for_types=True):
    tree = ast.parse(FILES[module].read_text())
    return set(imports(tree, inside_functions=inside_functions, for_types=for_types))


def is_from(name, packages):
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("module", sorted(FILES))
def test_imports_stay_within_the_layers(module):
    here = part(module)
    names = imported(module)
    parts = {part(name) for name in names if name.startswith("rnnbench.")}
    assert parts <= {here, *MAY_IMPORT[here]}
    if here in ARITHMETIC - {"tasks"}:
        assert [name for name in names if is_from(name, {"rnnbench.tasks"}) and not is_from(name, {BATCHES})] == []
    forbidden = {*FORBIDDEN.get(here, ()), *ABOVE} - (FILE_ACCESS if module == READS_FILES else set())
    assert [name for name in names if is_from(name, forbidden)] == []


def test_packages_and_modules_form_no_circle():
    """Not even by imports for type checkers alone, or inside functions."""

    def modules(module):
        inner = {name if name in FILES else name.rpartition(".")[0] for name in imported(module)}
        return {name for name in inner if name in FILES and name != module}

    TopologicalSorter({module: modules(module) for module in FILES}).prepare()
    TopologicalSorter({name: below - {name} for name, below in MAY_IMPORT.items()}).prepare()


@pytest.mark.parametrize("folder", ["benchmarks", "docs/make"])
def test_what_lies_above_the_package_imports_the_package_alone(folder):
    own = folder.partition("/")[0]
    for path in (ROOT / folder).rglob("*.py"):
        names = set(imports(ast.parse(path.read_text()), inside_functions=True))
        assert [name for name in names if is_from(name, ABOVE - {own})] == [], path


@pytest.mark.parametrize("module", sorted(name for name in FILES if part(name) in ARITHMETIC and name != READS_FILES))
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


def reached(module):
    """What is imported when a module is imported, directly or by another module, with the module that imports it."""
    seen, waiting = set(), [module]
    while waiting:
        current = waiting.pop()
        seen.add(current)
        for name in imported(current, inside_functions=False, for_types=False):
            yield current, name
            inner = (name, f"{name}.__init__", name.rpartition(".")[0], f"{name.rpartition('.')[0]}.__init__")
            waiting += [each for each in inner if each in FILES and each not in seen]


@pytest.mark.parametrize("module", sorted(name for name in FILES if part(name) in STARTS_WITHOUT_TORCH))
def test_start_up_reaches_no_torch(module):
    assert [pair for pair in reached(module) if is_from(pair[1], {"torch"})] == []


def test_hessian_free_on_modules_reaches_no_hydra():
    assert [pair for pair in reached("rnnbench.modules.hessian_free") if is_from(pair[1], {"hydra", "omegaconf"})] == []
