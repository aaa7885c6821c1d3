"""Trains two torch modules by rnnbench.HessianFree, PyTorchHessianFree, torch.optim.LBFGS and torch.optim.Adam."""

import importlib
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

import rnnbench
from benchmarks.comparison import MISSING, SOURCES
from benchmarks.module_products import autoencoder
from benchmarks.peers_optional import is_installed
from rnnbench.bench.report import Report
from rnnbench.bench.timing import Lanes
from rnnbench.records.wording import count
from rnnbench.tasks.adding import Adding

Batch = tuple[Tensor, Tensor]

SHARES = (0.25, 1.0)
"""Shares of the time after which the loss is recorded."""

NUM_HELD_OUT = 1000


@dataclass(frozen=True)
class Problem:
    """A module to be trained.

    Attributes:
        name: Name in the table.
        module: Function that makes the module; its weights depend on the seed.
        loss: Mean loss of a batch.
        draw: (purpose, update, size) -> batch, a new one for every purpose and update; a problem with one fixed batch
            ignores the arguments.
        held_out: Batch on which the loss is recorded.
        learning_rate: Learning rate of Adam, the best of 1e-2, 3e-3 and 1e-3 after 10 s.
        keys: Keys of rnnbench.HessianFree that differ from the defaults.
        peer_keys: Arguments of PyTorchHessianFree that did best of those tried; the page names them all.
    """

    name: str
    module: Callable[[], torch.nn.Module]
    loss: Callable[[Any, Tensor], Tensor]
    draw: Callable[[int, int, int], Batch]
    held_out: Batch
    learning_rate: float
    keys: Mapping[str, Any]
    peer_keys: Mapping[str, Any]


class AddingNet(torch.nn.Module):
    """torch.nn.RNN with a readout of its last step; returns the outputs (B, 1) and the states (B, T, n)."""

    def __init__(self, units: int) -> None:
        """Make the net with two inputs and an orthogonal recurrent matrix.

        Args:
            units: Number of hidden units n.
        """
        super().__init__()
        self.rnn, self.readout = torch.nn.RNN(2, units, batch_first=True), torch.nn.Linear(units, 1)
        torch.nn.init.orthogonal_(self.rnn.get_parameter("weight_hh_l0"))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Run the net on inputs (B, T, 2)."""
        states, _ = self.rnn(inputs)
        return self.readout(states[:, -1]), states


def adding_problem(sequence_length: int = 30, units: int = 30) -> Problem:
    """The adding task with sequences of equal length, for torch.nn.RNN; every batch is new."""
    task = Adding(sequence_length=sequence_length, variant="urnn16")

    def draw(purpose: int, update: int, size: int) -> Batch:
        data = task.batch(purpose, update, size)
        return data.inputs, data.targets

    held_out = task.batch(0, 0, NUM_HELD_OUT, stream="validation")
    return Problem(
        name=f"adding, T={sequence_length}, torch.nn.RNN with {units} units",
        module=lambda: AddingNet(units),
        loss=torch.nn.MSELoss(),
        draw=draw,
        held_out=(held_out.inputs, held_out.targets),
        learning_rate=3e-3,
        keys={"returns_states": True, "structural_damping": 0.1 * sequence_length},
        peer_keys={"damping": 0.01},
    )


def digits_problem() -> Problem:
    """A deep autoencoder of scikit-learn's 1797 digits of 8 x 8 pixels; every batch is all of them."""
    images = importlib.import_module("sklearn.datasets").load_digits().data
    pixels = torch.tensor(images / 16, dtype=torch.float32)
    both = pixels, pixels
    return Problem(
        name="digits, autoencoder 64-100-50-20-6",
        module=lambda: autoencoder(64, 100, 50, 20, 6),
        loss=torch.nn.BCEWithLogitsLoss(),
        draw=lambda purpose, update, size: both,
        held_out=both,
        learning_rate=1e-2,
        keys={"damping": 0.01, "max_cg_iterations": 50},  # the loss is a mean over 64 pixels, so its curvature is small
        peer_keys={"damping": 0.003, "cg_max_iter": 50, "cg_decay_x0": 0.0},
    )


PROBLEMS: Mapping[str, Callable[[], Problem]] = {"": adding_problem, "sklearn": digits_problem}
"""Required module, if any -> problem."""

Training = Iterator[int]
"""Trains a module, one step at each element, which is the work so far in the optimizer's own unit."""


def _outputs(returned: Any) -> Tensor:
    outputs: Tensor = returned[0] if isinstance(returned, tuple) else returned
    return outputs


def hessian_free(problem: Problem, module: torch.nn.Module) -> Training:
    """rnnbench.HessianFree; the work is in products."""
    fresh: dict[str, Any] = {"backtracking_batch": "fresh", "line_search_batch": "fresh"}
    optimizer, work = rnnbench.HessianFree(module, problem.loss, **fresh, **problem.keys), 0
    for update in range(10**9):
        result = optimizer.step(
            problem.draw(0, update, 2000),
            problem.draw(1, update, 500),
            backtracking_batch=problem.draw(2, update, 500),
            line_search_batch=problem.draw(3, update, 500),
        )
        work += result.products
        yield work


def pytorch_hessian_free(problem: Problem, module: torch.nn.Module, **keys: Any) -> Training:
    """PyTorchHessianFree on batches of the same sizes as ours; it has one for all losses. The work is in products.

    `acc_step`, its method for different batches, computes the outputs again for every product. `step` with a gradient
    and a product, as here, makes the same steps in less time.

    Args:
        problem: The module's problem.
        module: The module.
        **keys: Arguments of its optimizer.
    """
    optimizer = importlib.import_module("hessianfree.optimizer").HessianFree(module.parameters(), **keys)
    parameters, work = list(module.parameters()), 0

    def evaluate(batch: Batch) -> tuple[Tensor, Tensor]:
        outputs = _outputs(module(batch[0]))
        return problem.loss(outputs, batch[1]), outputs

    for update in range(10**9):
        gradient = torch.autograd.grad(evaluate(problem.draw(0, update, 2000))[0], parameters)
        loss, outputs = evaluate(problem.draw(1, update, 500))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of every rejected step
            optimizer.step(
                partial(evaluate, problem.draw(2, update, 500)),
                grad=torch.cat([part.reshape(-1) for part in gradient]),
                mvp=partial(optimizer._Gv, loss, outputs, parameters),
            )
        work += optimizer.state["num_cg_iters"][-1] + 1  # the first residual needs a product too
        yield work


def pytorch_hessian_free_tuned(problem: Problem, module: torch.nn.Module) -> Training:
    """PyTorchHessianFree with `Problem.peer_keys`."""
    return pytorch_hessian_free(problem, module, **problem.peer_keys)


def lbfgs(problem: Problem, module: torch.nn.Module) -> Training:
    """torch.optim.LBFGS with the strong Wolfe line search, on one fixed batch; the work is in gradients."""
    optimizer = torch.optim.LBFGS(module.parameters(), max_iter=10, history_size=20, line_search_fn="strong_wolfe")
    inputs, targets = problem.draw(0, 0, 2000)
    work = 0

    def closure() -> Tensor:
        nonlocal work
        work += 1
        optimizer.zero_grad()
        loss = problem.loss(_outputs(module(inputs)), targets)
        loss.backward()  # type: ignore[no-untyped-call] # torch has no type for it
        return loss

    while True:
        optimizer.step(closure)  # type: ignore[no-untyped-call]
        yield work


def adam(problem: Problem, module: torch.nn.Module) -> Training:
    """torch.optim.Adam on new batches of 100, or on the only batch; the work is in gradients."""
    optimizer = torch.optim.Adam(module.parameters(), problem.learning_rate)
    for update in range(10**9):
        inputs, targets = problem.draw(0, update, 100)
        optimizer.zero_grad()
        problem.loss(_outputs(module(inputs)), targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        yield update + 1


class Optimizer(NamedTuple):
    """An optimizer that is compared.

    Attributes:
        training: Trains the module of a problem.
        unit: Unit of its work.
        requires: Module that must be installed, if any.
    """

    training: Callable[[Problem, torch.nn.Module], Training]
    unit: str
    requires: str = ""


OPTIMIZERS: Mapping[str, Optimizer] = {
    "rnnbench.HessianFree": Optimizer(hessian_free, "products"),
    "PyTorchHessianFree, defaults": Optimizer(pytorch_hessian_free, "products", "hessianfree"),
    "PyTorchHessianFree, tuned": Optimizer(pytorch_hessian_free_tuned, "products", "hessianfree"),
    "torch.optim.LBFGS": Optimizer(lbfgs, "gradients"),
    "torch.optim.Adam": Optimizer(adam, "gradients"),
}
"""Name -> optimizer, ours first."""


def train(problem: Problem, optimizer: str, seconds: float) -> list[dict[str, float]]:
    """Train a module for a time; evaluations do not count.

    Args:
        problem: The module and its data.
        optimizer: Name in `OPTIMIZERS`.
        seconds: Processor time of the training, so that other programs on the machine do not count.

    Returns:
        After each of `SHARES` of the time, and before it: seconds, work and loss.
    """
    torch.manual_seed(0)
    module = problem.module()
    inputs, targets = problem.held_out

    def record(work: int) -> dict[str, float]:
        with torch.no_grad():
            loss = float(problem.loss(_outputs(module(inputs)), targets))
        return {"seconds": spent, "work": work, "loss": loss}

    spent, wanted = 0.0, [share * seconds for share in SHARES]
    records, training = [record(0)], OPTIMIZERS[optimizer].training(problem, module)
    while wanted:
        start = time.process_time()
        work = next(training)
        spent += time.process_time() - start
        if spent >= wanted[0]:
            records.append(record(work))
            wanted = [limit for limit in wanted if limit > spent]
    return records


def measure_trainings(lanes: Lanes, threads: int, seconds: float) -> Iterator[Report]:
    """Train every module by every optimizer that is installed, one after the other.

    Args:
        lanes: Threads that run the measurements.
        threads: Number of threads.
        seconds: Time of each training.
    """
    missing = {one.requires for one in OPTIMIZERS.values() if one.requires and not is_installed(one.requires)}
    notes = [MISSING.format(SOURCES[module]) for module in missing]
    for required, make in PROBLEMS.items():
        if required and not is_installed(required):
            continue
        problem = make()
        rows: list[Sequence[str] | None] = []
        data = {}
        for name, optimizer in OPTIMIZERS.items():
            if optimizer.requires in missing:
                continue
            records = lanes.call(partial(train, problem, name, seconds), torch_threads=threads)
            data[name] = records
            losses = [f"{record['loss']:.3g}" for record in records]
            rows.append([name, *losses, f"{records[-1]['work']:,.0f} {optimizer.unit}"])
        columns = ["", "loss at first", *(f"after {share * seconds:g} CPU s" for share in SHARES), "work"]
        title = f"Loss of a torch module against processor time: {problem.name}, {count(threads, 'thread')}"
        yield Report(title, columns, rows, notes, {"problem": problem.name, "threads": threads, "trainings": data})
