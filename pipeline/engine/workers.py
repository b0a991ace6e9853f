"""Items made by worker processes, in order: decoding and drawing run beside whoever consumes them."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path
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
    try:
        with _deaf_to_interrupts():
            iterator = iter(loader)
        for made in iterator:
            if isinstance(made, ScmdError):
                raise made
            yield made
    except BaseException:
        _kill_workers()
        raise


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started within never see Ctrl-C, which a terminal sends to all: the main one ends them, and alone speaks."""
    resource_tracker.ensure_running()  # else it is started within, and lets them hear again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _kill_workers() -> None:
    """At once: torch waits five seconds for each, and longer where one is still starting."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would take their end for a crash
    for process in multiprocessing.active_children():
        process.kill()
    for pid in _starting():
        os.kill(pid, signal.SIGKILL)


def _starting() -> Iterator[int]:
    """Spawned processes that an interrupt left before they were entered as children, where the system tells of them."""
    with suppress(OSError):
        for listed in Path("/proc/self/task").glob("*/children"):
            for pid in listed.read_text().split():
                if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    yield int(pid)


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
