"""Check on a GPU everything that needs one, stage by stage.

A call spends less than four minutes on a stage and writes STAGE.json. The next call continues there. Results for the
same chip, versions and revision are not measured again.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch

from benchmarks.gpu_check.chip import facts
from benchmarks.gpu_check.precision import precision_stage
from benchmarks.gpu_check.programs import graphs_stage, test_stage, training_stage
from benchmarks.gpu_check.stage import SECONDS_OF_A_STAGE, Stage, run_stage
from benchmarks.gpu_check.times import speed_stage
from rnnbench.config.errors import ConfigError
from rnnbench.exit_status import BAD_INPUT, FAILED, OK
from rnnbench.records.errors import RecordError
from rnnbench.run.machine import resolve_device


def _compilation(device: torch.device, *, quick: bool) -> Stage:
    from benchmarks.gpu_check.compilation import compilation_stage  # imports Triton

    major, minor = torch.cuda.get_device_capability(device) if device.type == "cuda" else (9, 0)
    return compilation_stage(10 * major + minor, quick=quick)


STAGES: dict[str, Callable[..., Stage]] = {
    "compilation": _compilation,
    "precision": precision_stage,
    "tests": test_stage,
    "speed": speed_stage,
    "graphs": graphs_stage,
    "training": training_stage,
}


def main(words: Sequence[str] | None = None) -> int:
    """Run stages.

    Args:
        words: Arguments of the command; None: those of this process.

    Returns:
        The exit status: 0; 1 if a measurement failed or is missing; 2 for bad input, a missing device or no Triton.
    """
    parser = argparse.ArgumentParser(prog="scripts/gpu_check", description=__doc__.partition("\n")[0])
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"default: all; {', '.join(STAGES)}")
    parser.add_argument("--device", default="cuda", help="default: cuda; cpu: only to try the check itself")
    parser.add_argument("--out", type=Path, default=Path("results/gpu"), help="folder of the results")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: only to try the check itself")
    given = parser.parse_args(words)
    unknown = [name for name in given.stages if name not in STAGES]
    try:
        if unknown:
            raise ConfigError(f"there is no stage {unknown[0]!r}; the stages are {', '.join(STAGES)}")
        if find_spec("triton") is None:
            raise ConfigError("Triton is not installed: pip install triton, or a CUDA build of torch, which brings it")
        chosen = given.stages or list(STAGES)
        only_compiles = chosen == ["compilation"]
        device = resolve_device("cpu" if only_compiles and not torch.cuda.is_available() else given.device)
        return _run([STAGES[name](device, quick=given.quick) for name in chosen], device, given.out)
    except (ConfigError, RecordError, OSError) as error:
        print(f"gpu_check: {error}", file=sys.stderr)
        return BAD_INPUT


def _run(stages: Sequence[Stage], device: torch.device, folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    known, status = facts(device), OK
    for stage in stages:
        print(f"{stage.name}: {stage.title}", flush=True)
        outcome = run_stage(stage, folder, known, sys.stdout, SECONDS_OF_A_STAGE)
        what = f"{len(outcome.measured)} measured, {len(outcome.failed)} failed"
        rest = f", {outcome.missing} left for the next call" if outcome.missing else ""
        print(f"{stage.name}: {what}{rest} -> {folder / stage.name}.json", flush=True)
        status = FAILED if outcome.failed or outcome.missing else status
    return status


if __name__ == "__main__":
    sys.exit(main())
