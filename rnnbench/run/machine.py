"""Device, threads and memory of this machine, and checks that a run fits them."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rnnbench.config.build import Built, first_length
from rnnbench.config.errors import ConfigError
from rnnbench.config.schema import Config
from rnnbench.config.validate import fields_of
from rnnbench.models.base import BlockShape
from rnnbench.models.gated_cell import GatedCell
from rnnbench.native.library import announce_by
from rnnbench.objective.engine import ROWS_PER_BLOCK, flush_denormals, forbid_tf32, rows_per_block
from rnnbench.records.messages import say
from rnnbench.run.allocator import prepare_allocator
from rnnbench.run.processors import num_processors
from rnnbench.training.flossing import num_bytes as flossing_bytes
from rnnbench.training.graph import CudaGraph
from rnnbench.training.problem import NUM_EVALUATION_SEQUENCES
from rnnbench.training.recurrences import fastest_recurrence
from rnnbench.training.stepping import obstacle_to_capture
from rnnbench.training.threads import fastest_threads
from rnnbench.training.world import World

MEBIBYTE, GIBIBYTE = 2**20, 2**30

SHARE_OF_MEMORY = 0.5
"""Share of the available memory that a group of replicas may use by estimate, since the estimate is rough."""

MAX_REPLICAS = 4096
"""Maximum number of replicas of one batched run."""

OUT_OF_MEMORY = ("allocate memory", "out of memory", "_STATUS_ALLOC_FAILED")
"""Parts of the error messages of torch's CPU allocator, of CUDA, and of cuBLAS and cuDNN."""


class NotEnoughMemoryError(ConfigError):
    """A run needs more memory than is available."""


RANDOM_NUMBER_BYTES = 32
"""Temporary memory per random number while a batch is drawn, in bytes; counted from the generator's tensors."""

OUTPUT_TENSORS = 3
"""Number of tensors of the outputs' size in memory at once: the outputs, their gradients, and a temporary one."""


def prepare_arithmetic() -> None:
    """Apply the settings of a process that trains: threads, allocator, TF32, denormal numbers."""
    torch.set_num_threads(1)  # workers split the batch into blocks; single operations are not split
    prepare_allocator()
    forbid_tf32()
    flush_denormals()


def resolve_device(name: str) -> torch.device:
    """Return the device with a name; auto: the first GPU, or the CPU if there is none.

    Raises:
        ConfigError: There is no such device.
    """
    available = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda:0" if available else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        if not available:
            raise ConfigError(f"device={name}: torch {torch.__version__} finds no CUDA device; use device=cpu or auto")
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            names = ", ".join(f"cuda:{index}" for index in range(count))
            raise ConfigError(f"device={name}: no such device; this machine has cpu, {names}")
    return device


def resolve_threads(config: Config, built: Built, num_replicas: int, device: torch.device) -> int:
    """Return the number of worker threads of a run; auto: measured, see `rnnbench.training.threads`."""
    if config.threads != "auto":
        return int(config.threads)
    if device.type != "cpu":
        return 1
    sequences = built.optimizer.num_kept_sequences or built.optimizer.num_drawn_sequences
    dtype = getattr(torch, config.dtype)
    return fastest_threads(built.task, built.model, num_replicas, sequences, dtype, num_processors())


def available_bytes(device: torch.device) -> int | None:
    """Return the available memory of a device, in bytes; None: unknown on this system."""
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
    """Estimate the memory of each part of a run, in bytes, by the configuration key that determines most of it."""
    task, model, optimizer = built.task, built.model, built.optimizer
    dtype = getattr(torch, config.dtype)
    threads = num_processors() if config.threads == "auto" else int(config.threads)
    threads = threads if device.type == "cpu" else 1
    max_rows = rows_per_block(model, task.num_steps, dtype, device)
    drawn, kept = optimizer.num_drawn_sequences, optimizer.num_kept_sequences

    def sweeps(sequences: int) -> int:
        outputs = OUTPUT_TENSORS * task.num_outputs * task.output_size * sequences * dtype.itemsize
        return int(outputs + model.block_bytes(BlockShape(1, task.num_steps, sequences, dtype, device)))

    inputs = num_replicas * task.num_steps * (task.input_size * dtype.itemsize + RANDOM_NUMBER_BYTES)
    traced = num_replicas * min(drawn, max_rows)
    # A captured graph holds a second copy of these buffers in its own memory pool.
    is_captured = device.type == "cuda" and optimizer.is_capturable and config.cuda_graphs != "never"
    batch_key = "optim.gradient_batch_size" if kept else "optim.batch_size"
    evaluated = min(num_replicas * NUM_EVALUATION_SEQUENCES, threads * max_rows)
    return {
        batch_key: drawn * inputs + sweeps(traced) * (1 + is_captured),
        "optim.curvature_batch_size": sweeps(num_replicas * kept),
        "model.hidden_size": _parameters(built, num_replicas)["model.hidden_size"] + sweeps(evaluated),
        "flossing.exponents": flossing_bytes(model, config.flossing.exponents, task.num_steps, num_replicas)
        if config.flossing.exponents
        else 0,
        **probe_parts(config, built, num_replicas),
    }


def probe_parts(config: Config, built: Built, num_replicas: int) -> Mapping[str, int]:
    """Estimate the memory of the largest probe, since probes are read one at a time; see `memory_parts`."""
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
        ConfigError: The backend does not run on the device.
    """
    announce_by(say)
    try:
        name: str = built.model.backend_name(device, getattr(torch, config.dtype))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return name


def resolve_recurrence(
    config: Config, built: Built, num_replicas: int, device: torch.device, *, captures: bool, known: str | None
) -> Built:
    """On a GPU, replace the recurrence `auto` of a gated net by the faster one, which is measured.

    Args:
        config: Configuration of the run.
        built: Objects of the run.
        num_replicas: R.
        device: Device of the run.
        captures: Whether updates are captured as CUDA graphs.
        known: Recurrence that an earlier process of a resumed run has measured; it is kept, since the two round
            differently. None: none was measured.

    Returns:
        The objects with the chosen recurrence.
    """
    model = built.model
    if not isinstance(model, GatedCell) or model.recurrence != "auto" or device.type != "cuda":
        return built
    make_graph = partial(CudaGraph, device) if captures else None
    wait = partial(torch.cuda.synchronize, device)
    sequences, dtype = built.optimizer.num_drawn_sequences, getattr(torch, config.dtype)
    try:
        recurrence = known or fastest_recurrence(
            built.task, model, num_replicas, sequences, dtype, device, make_graph, wait
        )
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return built  # the run may need less, or will be split
    return replace(built, model=model.with_recurrence(recurrence))


def check_graphs(config: Config, built: Built, device: torch.device, world: World) -> bool:
    """Decide whether updates are captured as CUDA graphs.

    Returns:
        Whether they are captured.

    Raises:
        ConfigError: The configuration requires capturing, but it is not possible.
    """
    if config.cuda_graphs == "never":
        return False
    obstacle = obstacle_to_capture(
        device,
        built.model,
        built.optimizer,
        world,
        keeps_previous=built.keeps_previous,
        logs_all=1 in (config.record.log_every, config.record.evaluate_every),
        lengthens=first_length(config) is not None,
    )
    if obstacle is not None and config.cuda_graphs == "always":
        raise ConfigError(f"cuda_graphs=always: {obstacle}; use cuda_graphs=auto")
    return obstacle is None


def check_memory(config: Config, built: Built, num_replicas: int, device: torch.device) -> int:
    """Check that a run fits into memory.

    Returns:
        Estimate of the memory that the run needs, in bytes.

    Raises:
        NotEnoughMemoryError: The run needs more memory than is available.
    """
    values = {key: value for key, value, _ in fields_of(config)}
    # The parameters are checked first: some models allocate them to measure the memory of their passes.
    _check_parts(_parameters(built, num_replicas), values, device, "the run")
    return _check_parts(memory_parts(config, built, num_replicas, device), values, device, "the run")


def check_probe_memory(config: Config, built: Built, num_sequences: int) -> None:
    """Check that the probes of a saved net fit into the memory of the CPU.

    Raises:
        NotEnoughMemoryError: The probes need more memory than is available.
    """
    task, device, dtype = built.task, torch.device("cpu"), getattr(torch, config.dtype)
    values = {key: value for key, value, _ in fields_of(config)} | {"--sequences": num_sequences}
    _check_parts(_parameters(built, 1), values, device, "probing")
    block = BlockShape(1, task.num_steps, min(num_sequences, ROWS_PER_BLOCK), dtype, device)
    batch = num_sequences * task.num_steps * (task.input_size * dtype.itemsize + RANDOM_NUMBER_BYTES)
    parts = {"--sequences": batch + built.model.block_bytes(block), **probe_parts(config, built, 1)}
    _check_parts(parts, values, device, "probing")


def _parameters(built: Built, num_replicas: int) -> Mapping[str, int]:
    """Estimate the memory of the parameters in an update; see `memory_parts`."""
    return {"model.hidden_size": num_replicas * built.model.num_parameters * built.optimizer.bytes_per_parameter}


def _check_parts(parts: Mapping[str, int], values: Mapping[str, Any], device: torch.device, what: str) -> int:
    """Check that the sum of some parts fits into memory, and return it; `values` maps each key to its value."""
    needed, available = sum(parts.values()), available_bytes(device)
    if available is not None and needed > available:
        key = max(parts, key=lambda name: parts[name])
        shorter = " or task.sequence_length" if what == "the run" else ""
        raise NotEnoughMemoryError(
            f"{key}={values[key]}: {what} needs about {needed / GIBIBYTE:.1f} GiB of memory "
            f"on {device.type}, but {available / GIBIBYTE:.1f} GiB are available; lower {key}{shorter}"
        )
    return needed


def max_replicas(config: Config, built: Built, device: torch.device, num_concurrent: int = 1) -> int:
    """Return the largest number of replicas of one batched run that fits into memory, at least 1.

    Args:
        config: Configuration of one replica.
        built: Objects built from it.
        device: Device of the run.
        num_concurrent: Number of batched runs that share the memory.
    """
    available = available_bytes(device)
    if available is None:
        return MAX_REPLICAS
    limit = SHARE_OF_MEMORY * available / num_concurrent
    fitting = bisect_right(
        range(1, MAX_REPLICAS + 1), limit, key=lambda count: sum(memory_parts(config, built, count, device).values())
    )
    return max(fitting, 1)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error means that memory is full; torch.OutOfMemoryError is raised by the GPU allocator only."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(part in str(error) for part in OUT_OF_MEMORY)
