"""The machine's rate of arithmetic, and the share of it that a gradient or a product reaches.

Letters as in `rnnbench.bench.case`; g blocks of weights (1 for the simple net, 4 for the LSTM, 3 for the GRU),
c = n + d + 1.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np

from rnnbench.bench.case import INPUT_SIZE, Computation
from rnnbench.bench.options import Shape
from rnnbench.bench.timing import Statistics
from rnnbench.objective.engine import keep_operations_single_threaded
from rnnbench.records.wording import count

SIZE = 1024
"""Rows and columns of the matrices of the large product."""

LARGE_PRODUCT = "large product"
"""Name among the timed variants."""

NOTE = "Of the peak: the rate of the matrix products alone over that of large float32 products, {}."

Quantity = Literal["linearization", "gradient", "product"]


def matrix_flops(quantity: Quantity, shape: Shape, blocks: int = 1) -> int:
    """Return the floating-point operations of the matrix products that a quantity needs, and of nothing else.

    A step of a sequence multiplies [h, x, 1] by the weights, g n c multiplications and additions; the gradient of its
    states is multiplied by the recurrent weights, g n n; its part of the weights' gradient is an outer product, g n c.
    A Gauss-Newton product needs no forward sweep: it multiplies [h, x, 1] by the direction, g n c, and the tangent of
    the state by the recurrent weights, g n n. The readout, which the cases have at the last step only, does not count.

    Args:
        quantity: "linearization" (one forward sweep), "gradient" or "product".
        shape: Size of the problem.
        blocks: g.
    """
    replicas, sequences, steps, n = shape
    c = n + INPUT_SIZE + 1
    columns = {"linearization": c, "gradient": c + n + c, "product": c + n + n + c}[quantity]
    return 2 * replicas * sequences * steps * blocks * n * columns


def large_product(threads: int) -> Computation:
    """Prepare a large float32 product by numpy for every thread, all at once, each on one core."""
    keep_operations_single_threaded()
    generator = np.random.default_rng(0)
    operands = [generator.standard_normal((2, SIZE, SIZE), dtype=np.float32) for _ in range(threads)]
    results = [np.empty((SIZE, SIZE), np.float32) for _ in range(threads)]

    def multiply(number: int) -> None:
        left, right = operands[number]
        np.matmul(left, right, out=results[number])

    if threads == 1:
        return Computation(lambda: multiply(0), None)
    executor = ThreadPoolExecutor(threads)
    return Computation(lambda: list(executor.map(multiply, range(threads))), None, executor.shutdown)


def large_product_flops(threads: int) -> int:
    """Return the floating-point operations of the large products of all threads."""
    return 2 * SIZE**3 * threads


def peak_note(peak_times: Mapping[int, Sequence[float]]) -> str:
    """Return a sentence that explains the shares.

    Args:
        peak_times: Number of threads -> seconds of the large products, one entry per round.
    """
    rates = [
        f"{large_product_flops(threads) / Statistics.of(times).median / 1e9:.0f} GFLOP/s on {count(threads, 'core')}"
        for threads, times in peak_times.items()
    ]
    return NOTE.format(" and ".join(rates))


def share_of_peak(flops: int, times: Sequence[float], peak_times: Sequence[float], threads: int) -> Statistics:
    """Return the rate of a computation over that of the large product on as many threads, round by round.

    Args:
        flops: Operations of the computation; see `matrix_flops`.
        times: Its seconds, one entry per round.
        peak_times: Seconds of the large product in the same rounds.
        threads: Number of threads of both.
    """
    ratios = Statistics.of_ratio(peak_times, times)
    scale = flops / large_product_flops(threads)
    return Statistics(scale * ratios.median, scale * ratios.lower, scale * ratios.upper)
