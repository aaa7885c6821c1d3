"""Measures Hessian-free on torch modules: its products, and the loss against time."""

from collections.abc import Iterator, Sequence

from benchmarks.module_products import measure_products
from benchmarks.module_training import measure_trainings
from benchmarks.options import Options
from rnnbench.bench.announce import Announcer
from rnnbench.bench.report import Report
from rnnbench.bench.timing import Lanes

PRODUCT_SECONDS, TRAINING_SECONDS = 20.0, 4.0
FULL_PRODUCT_SECONDS, FULL_TRAINING_SECONDS = 60.0, 20.0


def measure_modules(options: Options, settings: Sequence[int], announcer: Announcer) -> Iterator[Report]:
    """Compare with other packages, at the smallest number of threads.

    Args:
        options: Rounds of the products, and whether everything gets more time.
        settings: Numbers of threads.
        announcer: Shows the progress.
    """
    threads = settings[0]
    products, training = (
        (FULL_PRODUCT_SECONDS, FULL_TRAINING_SECONDS) if options.full else (PRODUCT_SECONDS, TRAINING_SECONDS)
    )
    with Lanes() as lanes:
        announcer.stage("products of torch modules")
        yield from measure_products(lanes, threads, options.rounds, products)
        announcer.stage("training of torch modules")
        yield from measure_trainings(lanes, threads, training)
