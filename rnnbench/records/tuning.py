"""tune.json: how `rnnbench tune` searches; its folder holds a sweep for the search and one for the confirmation."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from rnnbench.records.errors import RecordError
from rnnbench.records.growing_file import failure
from rnnbench.records.plain_file import read_file
from rnnbench.records.whole_file import replace_file

FILE_NAME = "tune.json"

SEARCH, CONFIRMATION = "search", "confirmation"
"""Names of the two sweeps in the folder."""


@dataclass(frozen=True)
class Tuning:
    """The contents of tune.json.

    Attributes:
        words: Arguments for `rnnbench train` that all trials have in common, without the seed.
        searched: Searched key -> smallest and largest value.
        trials: Number of settings that are tried.
        seeds: Seeds of every trial. Job N of the search belongs to trial N // len(seeds), from 0.
        fresh_seeds: Seeds of the confirmation.
    """

    words: Sequence[str]
    searched: Mapping[str, Sequence[float]]
    trials: int
    seeds: Sequence[int]
    fresh_seeds: Sequence[int]

    def trial_of(self, job: str) -> int:
        """The trial of a job of the search, from 0, given the name of its folder.

        Raises:
            RecordError: There is no such job.
        """
        number = int(job) if job.isdecimal() else -1
        if not 0 <= number < self.trials * len(self.seeds):
            raise RecordError(f"{job!r} is no job of a search with {self.trials} trials of {len(self.seeds)} seeds")
        return number // len(self.seeds)


def write_tuning(folder: Path, tuning: Tuning) -> None:
    """Write tune.json.

    Raises:
        RecordError: The file cannot be written.
    """
    replace_file(folder / FILE_NAME, json.dumps(asdict(tuning), indent=1) + "\n")


def is_tuning_folder(folder: Path) -> bool:
    """Whether a folder is that of a call of `rnnbench tune`."""
    return (folder / FILE_NAME).is_file()


def tuning_of(sweep: Path) -> Path | None:
    """The folder of the tuning that a sweep is a part of; None: it is another sweep."""
    folder = Path(os.path.realpath(sweep))
    return folder.parent if folder.name in (SEARCH, CONFIRMATION) and is_tuning_folder(folder.parent) else None


def read_tuning(folder: Path) -> Tuning:
    """Read tune.json.

    Raises:
        RecordError: It is missing or damaged.
    """
    path = folder / FILE_NAME
    try:
        contents = json.loads(read_file(path))
        tuning = Tuning(**{field.name: contents[field.name] for field in fields(Tuning)})
        _check(tuning)
    except OSError as error:
        raise failure(f"cannot read {path}", error) from error
    except KeyError as error:
        raise RecordError(f"{path} is damaged: there is no {error}") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RecordError(f"{path} is damaged: {error}") from error
    return tuning


def _check(tuning: Tuning) -> None:
    """Check the types of the values.

    Raises:
        ValueError, TypeError, AttributeError: One is wrong.
    """
    numbers = [tuning.trials, *tuning.seeds, *tuning.fresh_seeds]
    if not all(type(number) is int and number >= 0 for number in numbers) or min(numbers[0], len(tuning.seeds)) < 1:
        raise ValueError("trials and seeds must be whole numbers")
    if not all(isinstance(text, str) for text in (*tuning.words, *tuning.searched)):
        raise ValueError("words and searched keys must be strings")
    for low, high in tuning.searched.values():
        if not float(low) < float(high):
            raise ValueError("a searched key must have a smallest and a largest value")
