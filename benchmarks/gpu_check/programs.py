"""Stages that start programs: tests on a device, updates with and without CUDA graphs, whole trainings."""

import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_check.stage import Stage

CHECKOUT = Path(__file__).resolve().parents[2]

SECONDS = 230.0
"""Time limit of one program."""

TRAININGS = {
    "64 seeds of nag on adding, T = 80": "task=adding task.sequence_length=80 optim=nag seed=range(0,64)",
    "8 seeds of hf on adding, T = 50": "task=adding task.sequence_length=50 optim=hf seed=range(0,8)",
    "8 seeds of hf on adding, T = 200, large batches": (
        "task=adding task.sequence_length=200 optim=hf seed=range(0,8) optim.gradient_batch_size=10000 "
        "optim.curvature_batch_size=1000"
    ),
}
BUDGET = "budget.minutes=3"

GRAPH_SECONDS = 110.0
"""Largest time of one training that measures the speed of updates."""

RATES = {
    "one net, B = 20, T = 50, n = 50": "task.sequence_length=50 model.hidden_size=50 optim.batch_size=20",
    "64 nets, B = 100, T = 100, n = 100": "task.sequence_length=100 seed=range(0,64)",
    "one gru, B = 20, T = 50, n = 50": "model=gru task.sequence_length=50 model.hidden_size=50 optim.batch_size=20",
}
RATE_BUDGET = "budget.updates=2000 budget.minutes=1"
QUICK_RATES = {"one net, B = 2, T = 10, n = 4": "task.sequence_length=10 model.hidden_size=4 optim.batch_size=2"}
QUICK_RATE_BUDGET = "budget.updates=10 record.log_every=5"
QUICK = {"one update of hf": "task=adding task.sequence_length=10 model.hidden_size=4 optim=hf seed=range(0,2)"}
QUICK_BUDGET = "budget.updates=1"


def test_stage(device: torch.device, *, quick: bool) -> Stage:
    """Make the stage that runs tests/device on a device, not on simulated ones; quick: only tests of batches."""
    chosen = ["--device", str(device), "-k", "not simulated" + (" and batch" if quick else "")]
    files = {"numbers": "test_device.py"} if quick else {"numbers": "test_device.py", "commands": "test_whole_runs.py"}
    measurements = {
        name: partial(run_tests, [str(CHECKOUT / "tests" / "device" / file), *chosen]) for name, file in files.items()
    }
    return Stage(
        "tests", "tests/device: numbers compared with the CPU, and whole commands", measurements, longest=SECONDS
    )


def run_tests(words: list[str]) -> dict[str, Any]:
    """Run pytest; returns its last line and whether all tests passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=SECONDS, check=False)
    lines = (ended.stdout + ended.stderr).strip().splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return {"ok": ended.returncode == 0, "said": lines[-1] if lines else "", "failed": failed}


def training_stage(device: torch.device, *, quick: bool) -> Stage:
    """Make the stage of sweeps of three minutes each; quick: one update."""
    runs, budget = (QUICK, QUICK_BUDGET) if quick else (TRAININGS, BUDGET)
    measurements = {name: partial(train, [*words.split(), budget], device) for name, words in runs.items()}
    return Stage("training", "whole commands: seeds solved, and when", measurements, longest=SECONDS)


def graphs_stage(device: torch.device, *, quick: bool) -> Stage:
    """Make the stage of trainings by nag with and without CUDA graphs; quick: a few updates."""
    runs, budget = (QUICK_RATES, QUICK_RATE_BUDGET) if quick else (RATES, RATE_BUDGET)
    measurements = {}
    for name, words in runs.items():
        for way in ("auto" if quick else "always", "never"):
            command = f"task=adding optim=nag probe=none {words} {budget} cuda_graphs={way}".split()
            measurements[f"{name}, cuda_graphs={way}"] = partial(train, command, device)
    return Stage("graphs", "updates with CUDA graphs and without", measurements, longest=GRAPH_SECONDS)


def train(words: list[str], device: torch.device) -> dict[str, Any]:
    """Train a sweep; returns the outcomes of its runs and the speed of its updates, including evaluations and rows."""
    with tempfile.TemporaryDirectory() as folder:
        sweep = Path(folder) / "sweep"
        command = [sys.executable, "-m", "rnnbench", "train", "-m", "-q", *words, f"device={device}"]
        command.append(f"hydra.sweep.dir={sweep}")
        ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        summaries = [json.loads(path.read_text()) for path in sorted(sweep.glob("*/summary.json"))]
    if ended.returncode or not summaries:
        lines = ended.stderr.strip().splitlines()
        raise RuntimeError(lines[-1] if lines else f"exit status {ended.returncode}")
    times = sorted(summary["solved_at"]["seconds"] for summary in summaries if summary["solved_at"])
    updates, seconds = (max(summary[key] for summary in summaries) for key in ("updates", "seconds"))
    return {
        "runs": len(summaries),
        "solved": len(times),
        "first solved after s": times[0] if times else None,
        "last solved after s": times[-1] if times else None,
        "updates": updates,
        "s of training": seconds,
        "updates a second": updates / seconds,
        "ok": all(summary["status"] in ("solved", "budget") for summary in summaries),
    }
