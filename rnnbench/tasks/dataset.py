"""The batches of successive updates as a dataset for torch's DataLoader."""

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from torch.utils.data import IterableDataset, get_worker_info
from torch.utils.data._utils.collate import default_collate_fn_map
from typing_extensions import override

from rnnbench.tasks.random_numbers import WORD_LIMIT, check_range, whole_number
from rnnbench.tasks.sequences import Sequences


class UpdateDataset(IterableDataset[Sequences]):
    """The batches of the updates u, u + 1, ..., each drawn when it is asked for; every iteration begins with u again.

    An item is a whole batch, so its loader is `DataLoader(dataset, batch_size=None)`. With `num_workers=W`, worker w
    draws the updates u + w, u + w + W, ..., and the loader takes from the workers in turn: batches and their order are
    the same for every number of workers. A loader with a batch size, torch's default, raises a ValueError.

    Args:
        draw: Index of an update -> its batch.
        first_update: Index u of the first update.
        num_updates: Number of batches; None: no end.

    Raises:
        ValueError: An argument lies outside its limits.
    """

    def __init__(self, draw: Callable[[int], Sequences], first_update: int = 0, num_updates: int | None = None) -> None:
        first_update = whole_number("first_update", first_update)
        check_range("first_update", first_update, 0, WORD_LIMIT)
        most = WORD_LIMIT - first_update  # no update has a larger index
        if num_updates is not None:
            num_updates = whole_number("num_updates", num_updates)
            check_range("num_updates", num_updates, 1, most + 1)
        self.draw, self._is_endless = draw, num_updates is None
        self.updates = range(first_update, first_update + (most if num_updates is None else num_updates))

    @override
    def __iter__(self) -> Iterator[Sequences]:
        worker = get_worker_info()
        own = self.updates if worker is None else self.updates[worker.id :: worker.num_workers]
        return map(self.draw, own)

    def __len__(self) -> int:
        """Number of batches.

        Raises:
            TypeError: There is no end.
        """
        if self._is_endless:
            raise TypeError("the dataset has no end, so no length")
        return len(self.updates)


def _refuse_to_collate(items: list[Sequences], **options: Any) -> NoReturn:
    """Refuse to stack batches, whose sequences may have different lengths, along a further axis.

    Raises:
        ValueError: Always.
    """
    raise ValueError("an item of the dataset is a whole batch: use DataLoader(dataset, batch_size=None)")


default_collate_fn_map[Sequences] = _refuse_to_collate
