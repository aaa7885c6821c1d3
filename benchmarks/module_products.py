"""Gauss-Newton products of torch modules by rnnbench.HessianFree, PyTorchHessianFree (BackPACK) and curvlinops."""

import importlib
import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers_optional import is_installed
from rnnbench.bench.case import MismatchError
from rnnbench.bench.report import Report, milliseconds, spread
from rnnbench.bench.timing import Lanes, Statistics, Variant, interleave
from rnnbench.modules.linearization import Linearizer
from rnnbench.modules.module_function import ModuleFunction
from rnnbench.modules.module_objective import ModuleObjective
from rnnbench.records.wording import count

OURS = "rnnbench.HessianFree"
TOLERANCE = 1e-4
"""Largest difference from our product, relative to its norm, in float32."""

Product = Callable[[], Tensor]


class LastStep(torch.nn.Module):
    """A recurrent net of torch with a readout of its last step; inputs (B, T, d)."""

    def __init__(self, rnn: torch.nn.RNNBase) -> None:
        """Add the readout.

        Args:
            rnn: The net, batch_first.
        """
        super().__init__()
        self.rnn, self.readout = rnn, torch.nn.Linear(rnn.hidden_size, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the outputs, (B, 1)."""
        outputs: Tensor = self.readout(self.rnn(inputs)[0][:, -1])
        return outputs


def autoencoder(*sizes: int) -> torch.nn.Sequential:
    """Make an autoencoder with tanh units; it returns logits.

    Args:
        sizes: Units of each layer of the encoder, from the inputs to the code.
    """
    both = [*sizes, *sizes[-2::-1]]
    layers: list[torch.nn.Module] = []
    for wide, narrow in itertools.pairwise(both):
        layers += [torch.nn.Linear(wide, narrow), torch.nn.Tanh()]
    return torch.nn.Sequential(*layers[:-1])


def convolutions() -> torch.nn.Sequential:
    """Make a small convolutional net for images of 8 x 8."""
    first, second = torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.Conv2d(16, 16, 3, padding=1)
    return torch.nn.Sequential(
        first, torch.nn.ReLU(), second, torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(1024, 10)
    )


def recurrent(kind: Any, units: int) -> LastStep:
    """Make a recurrent net with two inputs."""
    return LastStep(kind(2, units, batch_first=True))


CASES: Mapping[str, Callable[[], tuple[torch.nn.Module, Tensor]]] = {
    "torch.nn.RNN, B=500 T=50 n=100": lambda: (recurrent(torch.nn.RNN, 100), torch.randn(500, 50, 2)),
    "torch.nn.RNN, B=20 T=50 n=20": lambda: (recurrent(torch.nn.RNN, 20), torch.randn(20, 50, 2)),
    "torch.nn.LSTM, B=100 T=50 n=50": lambda: (recurrent(torch.nn.LSTM, 50), torch.randn(100, 50, 2)),
    "torch.nn.GRU, B=100 T=50 n=50": lambda: (recurrent(torch.nn.GRU, 50), torch.randn(100, 50, 2)),
    "autoencoder 64-200-100, B=1000": lambda: (autoencoder(64, 200, 100), torch.randn(1000, 64)),
    "two convolutions, B=200": lambda: (convolutions(), torch.randn(200, 1, 8, 8)),
}
"""Name -> module and inputs."""


def products(module: torch.nn.Module, inputs: Tensor) -> dict[str, Product]:
    """Prepare the product with one vector by every package that is installed, ours first."""
    loss, function = torch.nn.MSELoss(), ModuleFunction(module)
    targets = torch.randn_like(module(inputs).detach())
    theta = function.theta()
    vector = torch.randn_like(theta)
    matrix = ModuleObjective(function, loss, (inputs, targets), Linearizer()).linearize(theta)
    found: dict[str, Product] = {OURS: lambda: matrix.product(vector)[0]}
    if is_installed("backpack"):
        multiply = importlib.import_module("backpack.hessianfree.ggnvp").ggn_vector_product_from_plist
        parts, outputs = list(function.views(vector).values()), module(inputs)
        value = loss(outputs, targets)

        def backpack() -> Tensor:
            pieces = multiply(value, outputs, list(module.parameters()), parts)
            return torch.cat([piece.reshape(-1) for piece in pieces])

        found["PyTorchHessianFree (BackPACK)"] = backpack
    if is_installed("curvlinops"):
        found["curvlinops"] = _curvlinops_product(module, loss, (inputs, targets), vector[0])
    return found


def _curvlinops_product(module: torch.nn.Module, loss: Any, batch: tuple[Tensor, Tensor], vector: Tensor) -> Product:
    curvlinops = importlib.import_module("curvlinops")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parameters = list(module.parameters())
        operator = curvlinops.GGNLinearOperator(module, loss, parameters, [batch], check_deterministic=False)
    if not any(isinstance(part, torch.nn.LSTM) for part in module.modules()):
        return lambda: operator @ vector

    def without_onednn() -> Tensor:
        """Multiply in forward mode, for which oneDNN's LSTM has no derivatives."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of the precision of a GPU that is not there
            with torch.backends.mkldnn.flags(enabled=False):
                found: Tensor = operator @ vector
        return found

    return without_onednn


def _prepare(make: Callable[[], tuple[torch.nn.Module, Tensor]]) -> dict[str, Product]:
    torch.manual_seed(0)
    return products(*make())


def measure_products(lanes: Lanes, threads: int, rounds: int | None, seconds: float) -> Iterator[Report]:
    """Compare the products of every module.

    Args:
        lanes: Threads that run the measurements.
        threads: Number of threads.
        rounds: Number of rounds; None: as many as fit.
        seconds: Time for all modules.

    Raises:
        MismatchError: A package computes another product.
    """
    rows: list[list[str] | None] = []
    data: dict[str, Any] = {}
    for name, make in CASES.items():
        ways = lanes.call(partial(_prepare, make), torch_threads=threads)
        expected = lanes.call(ways[OURS], torch_threads=threads)
        variants = []
        for way, product in ways.items():
            difference = float((lanes.call(product, torch_threads=threads) - expected).norm() / expected.norm())
            if not difference <= TOLERANCE:
                raise MismatchError(
                    f"{way} and rnnbench give different products of {name}: {difference:.3g} of the norm"
                )
            variants.append(Variant(way, product, torch_threads=threads))
        times = interleave(variants, lanes, rounds=rounds, seconds=seconds / len(CASES), announce=lambda text: None)
        rows += [None] if rows else []
        for way in ways:
            found, ratio = Statistics.of(times[way]), Statistics.of_ratio(times[way], times[OURS])
            rows.append([f"{name}: {way}", milliseconds(found.median), spread(found), f"{ratio.median:.2f}"])
            data.setdefault(name, {})[way] = {"seconds": times[way], "ratio": asdict(ratio)}
    title = f"Per Gauss-Newton product of a torch module, float32, {count(threads, 'thread')}"
    yield Report(title, ["", "ms", "quartiles", "/ rnnbench"], rows, [], {"threads": threads, "products": data})
