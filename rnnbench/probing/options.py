"""The options of `rnnbench probe`."""

from dataclasses import dataclass
from pathlib import Path

from rnnbench.config.trust import Trusted

FOLDER_NAME = "probe"
DEFAULT_SEQUENCES = 100


@dataclass(frozen=True)
class Options:
    """The options of one call.

    Attributes:
        folders: Folders of runs or sweeps, or folders that contain these.
        overrides: Overrides of the config group probe: a choice, and values of its keys.
        out: Folder of the results; None: the folder `probe` in each run folder.
        num_sequences: Number of held-out sequences on which the nets are probed.
        trusted: Folders and modules whose classes may be imported.
    """

    folders: tuple[Path, ...]
    overrides: tuple[str, ...]
    out: Path | None
    num_sequences: int
    trusted: Trusted
