"""What a training changes in the process that calls it, and how that is undone.

The command owns its process; a function of this package is a guest. What stays changed: modules that were imported,
glibc's settings that keep freed memory, and the process that workers of a sweep are forked from, which waits for the
next sweep.
"""

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Iterator, Sequence

from rnnbench.config.errors import ConfigError
from rnnbench.config.hydra_state import own_hydra
from rnnbench.run.allocator import HUGE_PAGES_VARIABLE, prepare_allocator
from rnnbench.run.process import ENVIRONMENT, place_in_torchrun, prepare_process

_TRAINING = threading.Lock()


@contextlib.contextmanager
def guest() -> Iterator[None]:
    """Keep what a command changes: environment, module search path, logging, Hydra's state.

    Raises:
        ConfigError: This process trains already, in another thread, or torchrun has started it with others.
    """
    if place_in_torchrun()[1] > 1:
        raise ConfigError("torchrun starts the command: torchrun -m rnnbench train; a function trains in one process")
    if not _TRAINING.acquire(blocking=False):
        raise ConfigError("this process trains already: one call at a time, or several runs in one rnnbench.sweep")
    try:
        with _environment((*ENVIRONMENT, HUGE_PAGES_VARIABLE)), module_path(), _logging(), own_hydra():
            yield
    finally:
        _TRAINING.release()


@contextlib.contextmanager
def guest_of_torch() -> Iterator[None]:
    """Keep torch's settings of this process and thread, and train under those of the command; imports torch."""
    prepare_process()
    prepare_allocator()
    import torch
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    is_tf32_allowed = torch.backends.cudnn.allow_tf32
    tiny = torch.full((1,), torch.finfo(torch.float32).tiny, dtype=torch.float32, device="cpu")
    are_denormals_flushed = bool(tiny / 2 == 0)
    if device.type != "cpu":
        torch.set_default_device("cpu")
    torch.set_default_dtype(torch.float32)
    try:
        with threadpool_limits(1, user_api="blas"), torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.allow_tf32 = is_tf32_allowed
        torch.set_flush_denormal(are_denormals_flushed)
        torch.set_default_dtype(dtype)
        if device.type != "cpu":
            torch.set_default_device(device)


@contextlib.contextmanager
def _environment(names: Sequence[str]) -> Iterator[None]:
    """Restore some environment variables at the end."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def module_path() -> Iterator[None]:
    """Restore Python's module search path at the end."""
    before = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = before


@contextlib.contextmanager
def _logging() -> Iterator[None]:
    """Restore all loggers at the end.

    Hydra configures logging anew, which closes every handler of the process. So those of the caller are hidden from it.
    They get no message: the log of a training is a file in its folder.
    """
    by_name, handlers = vars(logging)["_handlers"], vars(logging)["_handlerList"]
    before = dict(by_name), list(handlers)
    named = [each for each in logging.Logger.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    states = [
        (logger, list(logger.handlers), logger.level, logger.propagate, logger.disabled)
        for logger in (logging.getLogger(), *named)
    ]
    for known in (by_name, handlers, logging.getLogger().handlers):
        known.clear()
    try:
        yield
    finally:
        for reference in list(handlers):
            handler = reference()
            if handler is not None:
                handler.close()
        by_name.clear()
        by_name.update(before[0])
        handlers[:] = before[1]
        for logger, its_handlers, level, propagate, disabled in states:
            logger.handlers[:] = its_handlers
            logger.propagate, logger.disabled = propagate, disabled
            logger.setLevel(level)
