"""Facts about the device and the software that a check ran on."""

import shutil
import subprocess
from importlib import metadata
from typing import Any

import torch

from rnnbench.records.environment import git_revision, versions


def facts(device: torch.device) -> dict[str, Any]:
    """Return device, chip, driver, versions and revision; only measurements with equal facts are comparable."""
    packages = versions()
    for package in ("triton", "jax", "flashrnn"):
        try:
            packages[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    chip: dict[str, Any] = {"device": str(device), "versions": packages, "revision": git_revision()}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        chip |= {
            "chip": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "processors": properties.multi_processor_count,
            "memory_bytes": properties.total_memory,
            "cuda": torch.version.cuda,
            "driver": _driver(),
        }
    return chip


def _driver() -> str | None:
    """Return the version of the NVIDIA driver; None: unknown."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return answer.stdout.splitlines()[0].strip() if answer.returncode == 0 and answer.stdout else None
