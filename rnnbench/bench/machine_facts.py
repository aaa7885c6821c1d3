"""Facts about the machine and the software of a measurement."""

import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

from rnnbench.records.environment import git_revision, versions
from rnnbench.run.allocator import HUGE_PAGES_ENABLED, HUGE_PAGES_VARIABLE, MALLOC_VARIABLES
from rnnbench.run.machine import available_bytes, resolve_device
from rnnbench.run.process import ENVIRONMENT
from rnnbench.run.processors import num_processors

OPTIONAL_PACKAGES = ("jax", "jaxlib", "curvlinops-for-pytorch", "backpack-for-pytorch", "hessianfree")
SPEED_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OMP_WAIT_POLICY",
    "GOMP_SPINCOUNT",
    "OMP_DYNAMIC",
    "MKL_DYNAMIC",
    "KMP_BLOCKTIME",
    "XLA_FLAGS",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "ATEN_CPU_CAPABILITY",
    "NPY_DISABLE_CPU_FEATURES",
    *MALLOC_VARIABLES,
    HUGE_PAGES_VARIABLE,
)
"""Environment variables that set threads, processor instructions and memory allocation."""

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def machine_facts() -> dict[str, Any]:
    """Return processor, cores, memory, load, system, BLAS, huge pages, and relevant environment variables."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": num_processors(),
        "memory_bytes": _memory_bytes(),
        "available_bytes": available_bytes(resolve_device("cpu")),
        "load_average": load,
        "system": platform.platform(),
        "blas": _blas_kernels(),
        "huge_pages": _huge_pages(),
        "environment": _environment(),
    }


def _environment() -> dict[str, str]:
    """Return the variables that affect speed, without those that rnnbench sets itself."""
    ours = {**ENVIRONMENT, HUGE_PAGES_VARIABLE: HUGE_PAGES_ENABLED}
    values = {name: os.environ[name] for name in SPEED_VARIABLES if name in os.environ}
    return {name: value for name, value in values.items() if ours.get(name) != value}


def _huge_pages() -> str | None:
    """Return whether the system grants huge pages: always, madvise (on request) or never; None: unknown."""
    if not HUGE_PAGES.is_file():
        return None
    chosen = re.search(r"\[(\w+)\]", HUGE_PAGES.read_text())
    return chosen and chosen[1]


def _blas_kernels() -> list[str]:
    """Return the kernels that the BLAS libraries have chosen, as in "openblas 0.3.31 for SkylakeX"."""
    return [
        f"{library['internal_api']} {library['version']} for {library['architecture']}"
        for library in threadpool_info()
        if library["user_api"] == "blas" and "architecture" in library
    ]


def software_facts() -> dict[str, Any]:
    """Return versions, including those of the compared packages, and the revision of the checkout."""
    packages = versions()
    for package in OPTIONAL_PACKAGES:
        try:
            packages[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {"versions": packages, "git": git_revision()}


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None
