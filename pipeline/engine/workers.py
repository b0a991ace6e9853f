"""Items made by worker processes, in order: decoding and drawing run beside whoever consumes them."""

from collections.abc import Iterable, Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset

from pipeline.errors import ResourceError, ScmdError


def in_order(maker: Any, items: Iterable[Any], workers: int) -> Iterator[Any]:
    """`maker[item]` for each item, made by `workers` processes (0: in this one), in the order of `items`.

    A named error in a worker is raised here as it was there. Where the system kills a worker, torch raises RuntimeError
    from its signal handler, wherever this process then is.
    """
    loader = DataLoader(
        _Guarded(maker),
        batch_size=None,
        sampler=items,
        num_workers=workers,
        collate_fn=_as_made,
        # Spawned, as a forked copy of a process with an OpenMP pool may hang in its first parallel operation.
        multiprocessing_context="spawn" if workers else None,
    )
    for made in loader:
        if isinstance(made, ScmdError):
            raise made
        yield made


class _Guarded(Dataset[Any]):
    """Hands named errors over as values: DataLoader would wrap them in a worker's traceback."""

    def __init__(self, maker: Any) -> None:
        self.maker = maker

    def __getitem__(self, item: Any) -> Any:
        try:
            return self.maker[item]
        except ScmdError as error:
            return error
        except MemoryError:
            return ResourceError("out of memory while an image was drawn; set fewer `workers`")


def _as_made(item: Any) -> Any:
    return item
