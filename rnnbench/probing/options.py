"""The options of `rnnbench probe`."""

from dataclasses import dataclass
from pathlib import Path

from rnnbench.config.trust import Trusted

FOLDER_NAME = "probe"
DEFAULT_SEQUENCES = 100


@dataclass(frozen=True)
class Options:
    """What is to be probed, by which probes, and where to.

    Attributes:
        folders: Runs, sweeps, or any folders that hold them.
        overrides: Of the group probe: a choice, and values of its keys.
        out: Where what is found goes; None: into a folder `probe` of each run.
        num_sequences: Of the batch on which the nets are looked at.
        trusted: The folders of choices and classes of one's own, and modules whose classes may be imported.
    """

    folders: tuple[Path, ...]
    overrides: tuple[str, ...]
    out: Path | None
    num_sequences: int
    trusted: Trusted
