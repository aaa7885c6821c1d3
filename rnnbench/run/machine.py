"""What this machine has: device, threads, memory; and whether a run fits it."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rnnbench.config.build import Built
from rnnbench.config.errors import ConfigError
from rnnbench.config.schema import Config
from rnnbench.config.validate import fields_of
from rnnbench.models.base import BlockShape
from rnnbench.models.fused_cell import FusedCell
from rnnbench.objective.engine import ROWS_PER_BLOCK, flush_denormals, forbid_tf32, rows_per_block
from rnnbench.run.allocator import prepare_allocator
from rnnbench.run.processors import num_processors
from rnnbench.training.graph import CudaGraph
from rnnbench.training.problem import NUM_EVALUATION_SEQUENCES
from rnnbench.training.recurrences import fastest_recurrence
from rnnbench.training.stepping import obstacle_to_capture
from rnnbench.training.threads import fastest_threads
from rnnbench.training.world import World

MEBIBYTE, GIBIBYTE = 2**20, 2**30

SHARE_OF_MEMORY = 0.5
"""Of what is available: what groups of replicas are made for, since the estimate of their needs is rough."""

MOST_REPLICAS = 4096
"""Of one batched run."""

OUT_OF_MEMORY = ("allocate memory", "out of memory", "_STATUS_ALLOC_FAILED")
"""In the messages of torch's CPU allocator, of CUDA, and of cuBLAS and cuDNN."""


class NotEnoughMemoryError(ConfigError):
    """A run needs more memory than there is."""


RANDOM_NUMBER_BYTES = 32
"""Bytes of scratch for each random number of the batch that is being drawn, by reading the generator's tensors."""

OUTPUT_TENSORS = 3
"""Tensors of the outputs' size that are there together with them: the outputs, their gradients, and one on the way."""


def prepare_arithmetic() -> None:
    """Set what holds for all arithmetic of a process that trains: threads, memory, TF32, denormal numbers."""
    torch.set_num_threads(1)  # each worker runs whole blocks; an operation itself is not split
    prepare_allocator()
    forbid_tf32()
    flush_denormals()


def resolve_device(name: str) -> torch.device:
    """The device that `device` names; auto: the first GPU, else the CPU.

    Raises:
        ConfigError: It is not there.
    """
    available = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda:0" if available else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        if not available:
            raise ConfigError(
                f"device={name}: torch {torch.__version__} sees no CUDA device here; use device=cpu or auto"
            )
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            names = ", ".join(f"cuda:{index}" for index in range(count))
            raise ConfigError(f"device={name}: there is no such device here; there are cpu, {names}")
    return device


def resolve_threads(config: Config, built: Built, num_replicas: int, device: torch.device) -> int:
    """The number of worker threads of a run; auto: measured, see `rnnbench.training.threads`."""
    if config.threads != "auto":
        return int(config.threads)
    if device.type != "cpu":
        return 1
    sequences = built.optimizer.num_kept_sequences or built.optimizer.num_drawn_sequences
    dtype = getattr(torch, config.dtype)
    return fastest_threads(built.task, built.model, num_replicas, sequences, dtype, num_processors())


def available_bytes(device: torch.device) -> int | None:
    """Memory that a run may still take on a device; None: not known on this system."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    candidates = []
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        candidates.append(int(lines["MemAvailable"].split()[0]) * 1024)
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and used.exists() and limit.read_text().strip() != "max":
        candidates.append(int(limit.read_text()) - int(used.read_text()))
    return min(candidates, default=None)


def memory_parts(config: Config, built: Built, num_replicas: int, device: torch.device) -> Mapping[str, int]:
    """Bytes that a run will need, by the key that decides most about each part."""
    task, model, optimizer = built.task, built.model, built.optimizer
    dtype = getattr(torch, config.dtype)
    threads = num_processors() if config.threads == "auto" else int(config.threads)
    threads = threads if device.type == "cpu" else 1
    most_rows = rows_per_block(model, task.num_steps, dtype, device)
    drawn, kept = optimizer.num_drawn_sequences, optimizer.num_kept_sequences

    def sweeps(sequences: int) -> int:
        outputs = OUTPUT_TENSORS * task.num_outputs * task.output_size * sequences * dtype.itemsize
        return int(outputs + model.block_bytes(BlockShape(1, task.num_steps, sequences, dtype, device)))

    inputs = num_replicas * task.num_steps * (task.input_size * dtype.itemsize + RANDOM_NUMBER_BYTES)
    traced = num_replicas * min(drawn, most_rows)
    # Captured updates keep what a cell's record takes in memory of their graph's own.
    is_captured = device.type == "cuda" and optimizer.is_capturable and config.cuda_graphs != "never"
    batch_key = "optim.gradient_batch_size" if kept else "optim.batch_size"
    evaluated = min(num_replicas * NUM_EVALUATION_SEQUENCES, threads * most_rows)
    return {
        batch_key: drawn * inputs + sweeps(traced) * (1 + is_captured),
        "optim.curvature_batch_size": sweeps(num_replicas * kept),
        "model.hidden_size": _parameters(built, num_replicas)["model.hidden_size"] + sweeps(evaluated),
        **probe_parts(config, built, num_replicas),
    }


def probe_parts(config: Config, built: Built, num_replicas: int) -> Mapping[str, int]:
    """Bytes of the probe that takes most, since they are read one after another, by the key that decides about it."""
    sizes = {
        name: probe.num_bytes(built.model, built.task.num_steps, num_replicas) for name, probe in built.probes.items()
    }
    name = max(sizes, key=lambda each: sizes[each], default=None)
    if name is None or not sizes[name]:
        return {}
    sample = {key: getattr(config.probe[name], key, 0) for key in ("num_sequences", "num_steps")}
    key = max(sample, key=lambda each: sample[each]) if any(sample.values()) else "every"
    return {f"probe.{name}.{key}": sizes[name]}


def check_backend(config: Config, built: Built, device: torch.device) -> str:
    """Check that the chosen backend of the model runs on a device.

    Returns:
        Name of the backend, for messages.

    Raises:
        ConfigError: The backend does not run there.
    """
    try:
        name: str = built.model.backend_name(device, getattr(torch, config.dtype))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return name


def resolve_recurrence(
    config: Config, built: Built, num_replicas: int, device: torch.device, *, captures: bool, known: str | None
) -> Built:
    """The same objects, with the way through a gated net's steps settled on a GPU, where `auto` means to measure.

    Args:
        config: Of the run.
        built: Its objects.
        num_replicas: R.
        device: Where it runs.
        captures: Whether updates are to be captured as CUDA graphs.
        known: What was measured before a run goes on, since either way rounds differently; None: nothing.
    """
    model = built.model
    if not isinstance(model, FusedCell) or model.recurrence != "auto" or device.type != "cuda":
        return built
    make_graph = partial(CudaGraph, device) if captures else None
    wait = partial(torch.cuda.synchronize, device)
    sequences, dtype = built.optimizer.num_drawn_sequences, getattr(torch, config.dtype)
    try:
        way = known or fastest_recurrence(built.task, model, num_replicas, sequences, dtype, device, make_graph, wait)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return built  # the run itself may do with less, or is parted
    return replace(built, model=model.with_recurrence(way))


def check_graphs(config: Config, built: Built, device: torch.device, world: World) -> bool:
    """Check that updates can be captured as CUDA graphs where they have to be.

    Returns:
        Whether they are to be captured.

    Raises:
        ConfigError: They have to be, and cannot.
    """
    if config.cuda_graphs == "never":
        return False
    obstacle = obstacle_to_capture(
        device,
        built.optimizer,
        world,
        keeps_previous=built.keeps_previous,
        logs_all=1 in (config.record.log_every, config.record.evaluate_every),
    )
    if obstacle is not None and config.cuda_graphs == "always":
        raise ConfigError(f"cuda_graphs=always: {obstacle}; use cuda_graphs=auto")
    return obstacle is None


def check_memory(config: Config, built: Built, num_replicas: int, device: torch.device) -> int:
    """Check that a run fits into memory.

    Returns:
        Bytes that it will need, about.

    Raises:
        NotEnoughMemoryError: It needs more than there is.
    """
    values = {key: value for key, value, _ in fields_of(config)}
    # First alone: some models make their parameters to find out what their sweeps take.
    _check_parts(_parameters(built, num_replicas), values, device, "the run")
    return _check_parts(memory_parts(config, built, num_replicas, device), values, device, "the run")


def check_probe_memory(config: Config, built: Built, num_sequences: int) -> None:
    """Check that the probes of a saved net fit into memory, on the CPU.

    Raises:
        NotEnoughMemoryError: They need more than there is.
    """
    task, device, dtype = built.task, torch.device("cpu"), getattr(torch, config.dtype)
    values = {key: value for key, value, _ in fields_of(config)} | {"--sequences": num_sequences}
    _check_parts(_parameters(built, 1), values, device, "probing")
    block = BlockShape(1, task.num_steps, min(num_sequences, ROWS_PER_BLOCK), dtype, device)
    batch = num_sequences * task.num_steps * (task.input_size * dtype.itemsize + RANDOM_NUMBER_BYTES)
    parts = {"--sequences": batch + built.model.block_bytes(block), **probe_parts(config, built, 1)}
    _check_parts(parts, values, device, "probing")


def _parameters(built: Built, num_replicas: int) -> Mapping[str, int]:
    """Bytes that the parameters take in an update, by the key that decides most about them."""
    return {"model.hidden_size": num_replicas * built.model.num_parameters * built.optimizer.bytes_per_parameter}


def _check_parts(parts: Mapping[str, int], values: Mapping[str, Any], device: torch.device, what: str) -> int:
    """Check that parts fit into memory together, and add them up; `values` are of the keys that name them."""
    needed, available = sum(parts.values()), available_bytes(device)
    if available is not None and needed > available:
        key = max(parts, key=lambda name: parts[name])
        shorter = " or task.sequence_length" if what == "the run" else ""
        raise NotEnoughMemoryError(
            f"{key}={values[key]}: {what} needs about {needed / GIBIBYTE:.1f} GiB of memory "
            f"on {device.type}, {available / GIBIBYTE:.1f} GiB are available; lower {key}{shorter}"
        )
    return needed


def most_replicas(config: Config, built: Built, device: torch.device, num_side_by_side: int = 1) -> int:
    """The largest number of replicas of one batched run for which there is memory, at least 1.

    Args:
        config: Of one of them.
        built: Its objects.
        device: Where it will run.
        num_side_by_side: Batched runs that share the memory.
    """
    available = available_bytes(device)
    if available is None:
        return MOST_REPLICAS
    limit = SHARE_OF_MEMORY * available / num_side_by_side
    fitting = bisect_right(
        range(1, MOST_REPLICAS + 1), limit, key=lambda count: sum(memory_parts(config, built, count, device).values())
    )
    return max(fitting, 1)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory is used up; torch's own class is of its GPU allocator alone."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)
