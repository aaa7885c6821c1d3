"""Creates the run folder of a job of a sweep with Hydra's files: .hydra/{config,hydra,overrides}.yaml."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped] # its stubs are no dependency of ours
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf._utils import get_omega_conf_dumper

from rnnbench.config.composed import Composed
from rnnbench.config.errors import ConfigError
from rnnbench.config.folders import SUBDIR, job_folder

HYDRA_FOLDER = ".hydra"
"""Folder of these files inside the folder of a job, by default."""


class _Dumper(getattr(yaml, "CDumper", yaml.Dumper)):  # type: ignore[misc]
    """Writes the same as OmegaConf.to_yaml, three times as fast if PyYAML has its C library."""


_Dumper.add_representer(str, get_omega_conf_dumper().str_representer)


def write_job_folder(composed: Composed, sweep_folder: Path, number: int) -> Path:
    """Create the folder of a job, as Hydra's basic launcher does.

    Args:
        composed: Job, composed from all its overrides, including those of Hydra's own keys.
        sweep_folder: Folder of the sweep.
        number: Number of the job in the sweep.

    Returns:
        Path of the folder; its subfolder hydra.output_subdir contains the configuration, unless that key is null.

    Raises:
        ConfigError: The folder cannot be created or written, or its name cannot be resolved.
    """
    folder = job_folder(sweep_folder, composed.resolve(SUBDIR, number))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        output_subdir = composed.hydra.hydra.output_subdir
        if output_subdir is not None:
            (folder / output_subdir).mkdir(parents=True, exist_ok=True)
            for name, content in _contents(composed, folder, number).items():
                (folder / output_subdir / name).write_text(_to_yaml(content), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{SUBDIR}: {folder} cannot be created: {error.strerror}") from error
    return folder


def copy_job_files(source: Path, folder: Path, number: int, seed: int) -> None:
    """Create the folder of a job that differs from another one in the seed.

    Args:
        source: Folder of the other job; what it lacks of Hydra's files is left out.
        folder: Folder of the job.
        number: Number of the job in its sweep.
        seed: Seed of the job.

    Raises:
        ConfigError: A file cannot be read or written.
    """
    try:
        target = folder / HYDRA_FOLDER
        target.mkdir(parents=True, exist_ok=True)
        for name in ("config.yaml", "hydra.yaml", "overrides.yaml"):
            path = source / HYDRA_FOLDER / name
            if path.is_file():
                content: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
                (target / name).write_text(_to_yaml(_with_seed(name, content, folder, number, seed)), encoding="utf-8")
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ConfigError(f"{folder} cannot be created from {source}: {error}") from error


def _with_seed(name: str, content: Any, folder: Path, number: int, seed: int) -> Any:
    """The contents of one of Hydra's files with another seed, folder and number of the job."""

    def lines(overrides: Sequence[str]) -> list[str]:
        return [f"seed={seed}" if line.startswith("seed=") else line for line in overrides]

    if name == "overrides.yaml":
        return lines(content)
    if name == "config.yaml":
        return {**content, "seed": seed}
    hydra = content["hydra"]
    hydra["overrides"]["task"] = lines(hydra["overrides"]["task"])
    hydra["job"] |= {"num": number, "id": str(number), "override_dirname": ",".join(hydra["overrides"]["task"])}
    hydra["sweep"]["dir"] = str(folder.parent)
    hydra["runtime"]["output_dir"] = str(folder.absolute())
    return content


def _contents(composed: Composed, folder: Path, number: int) -> dict[str, Any]:
    """File name -> contents."""
    with composed.with_hydra(number) as tree:
        config: Any = OmegaConf.to_container(tree, resolve=False, enum_to_str=True)
    hydra = config.pop("hydra")
    task, own = split_overrides(composed.overrides, RunMode.MULTIRUN)
    hydra["mode"] = RunMode.MULTIRUN.name
    hydra["overrides"] = {"hydra": own, "task": task}
    hydra["runtime"]["output_dir"] = str(folder.absolute())
    return {"config.yaml": config, "hydra.yaml": {"hydra": hydra}, "overrides.yaml": task}


def split_overrides(overrides: Sequence[Override], mode: RunMode) -> tuple[list[str], list[str]]:
    """Split overrides into those of the run and those of Hydra's own keys; the latter include hydra.mode."""
    task = [str(override.input_line) for override in overrides if not override.is_hydra_override()]
    own = [str(override.input_line) for override in overrides if override.is_hydra_override()]
    if not any(line.startswith("hydra.mode=") for line in own):
        own.append(f"hydra.mode={mode.name}")
    return task, own


def _to_yaml(content: Any) -> str:
    """Contents as the text of a YAML file."""
    return str(yaml.dump(content, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, sort_keys=False))
