"""Items made by worker processes, in order: decoding and drawing run beside whoever consumes them."""

import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import tempfile
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Dataset

from pipeline import package
from pipeline.errors import ResourceError, ScmdError


def in_order(maker: Any, items: Iterable[Any], workers: int) -> Iterator[Any]:
    """`maker[item]` for each item, made by `workers` processes (0: in this one), in the order of `items`.

    A named error in a worker is raised here as it was there; where the system kills a worker, torch raises RuntimeError.
    """
    with tempfile.TemporaryDirectory(prefix="scmd-") as folder:
        try:
            with _deaf_to_interrupts(), warnings.catch_warnings():
                # Of more workers than there are cores, which somebody asked for.
                warnings.filterwarnings("ignore", "This DataLoader will create")
                loader = DataLoader(
                    _Guarded(_Sent(maker, Path(folder)) if workers else maker),
                    batch_size=None,
                    sampler=items,
                    num_workers=workers,
                    collate_fn=_as_made,
                    multiprocessing_context=_forking_from_a_server(type(maker).__module__) if workers else None,
                    worker_init_fn=_end_with_the_main_process,
                )
                iterator = iter(loader)
            if workers:
                _end_with_the_first(iterator)
            for made in iterator:
                if isinstance(made, ScmdError):
                    raise made
                yield made
        except BaseException:
            _kill_workers()
            raise


@contextmanager
def importing(maker: type, workers: int) -> Iterator[None]:
    """The process that workers are copied from starts now, where there are to be any, and imports what such a maker needs while
    this one goes on; where that fails, it ends."""
    if workers:
        with _deaf_to_interrupts():
            _forking_from_a_server(maker.__module__)
    try:
        yield
    except BaseException:
        _kill_workers()
        raise


def _forking_from_a_server(module: str) -> Any:
    """Workers are copies of a process that has imported what they need and done nothing yet: once that is there, they start at
    once, and share its memory. A copy of this one, which may have an OpenMP pool, could hang in its first parallel operation."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, module])
    with _finding_this_code():
        forkserver.ensure_running()
    return context


@contextmanager
def _finding_this_code() -> Iterator[None]:
    """A Python that is started within imports this very code, and nothing from the working folder."""
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "PYTHONSAFEPATH")}
    os.environ.update(PYTHONPATH=package.python_path(), PYTHONSAFEPATH="1")
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


def _end_with_the_main_process(_: int) -> None:
    """In a worker: its parent is the server, which lives as long as it has workers."""
    main = multiprocessing.parent_process()
    assert main is not None

    def watch() -> None:
        multiprocessing.connection.wait([main.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _end_with_the_first(iterator: Any) -> None:
    """Sees to it that all workers of torch's iterator end when one does: one that is killed while it writes leaves half a
    message, of which this process would await the rest for ever, and a lock that no other worker gets."""

    def watch() -> None:
        multiprocessing.connection.wait([worker.sentinel for worker in iterator._workers])
        for worker in iterator._workers:
            worker.kill()
        iterator._worker_result_queue._writer.close()  # the last that could write

    threading.Thread(target=watch, daemon=True).start()


def exhaust(made: Iterator[Any]) -> None:
    """Ends the workers of `in_order`, whose items have all been taken."""
    for _ in made:
        raise ValueError("there are items that nobody took")


class _Sent:
    """A maker that goes to workers through a file: it is pickled once for all, and this process does not wait, deaf, on the pipe
    of one that died."""

    def __init__(self, maker: Any, folder: Path) -> None:
        self._file = folder / "maker"
        self._file.write_bytes(pickle.dumps(maker))
        self._maker: Any = None

    def __getitem__(self, item: Any) -> Any:
        if self._maker is None:
            self._maker = pickle.loads(self._file.read_bytes())
        return self._maker[item]


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
    # The server ends with this process, but a little later.
    for server in _servers():
        with suppress(ProcessLookupError, ChildProcessError):
            for starting in _children(server):  # which an interrupt left before they were entered as children
                os.kill(starting, signal.SIGKILL)
            os.kill(server, signal.SIGKILL)
            os.waitid(os.P_PID, server, os.WEXITED | os.WNOWAIT)  # else the next one to need it may take it for alive


def _servers() -> Iterator[int]:
    """Those of multiprocessing that belong to this process, where the system tells of them."""
    with suppress(OSError):
        for child in _children("self"):
            if b"multiprocessing.forkserver" in Path(f"/proc/{child}/cmdline").read_bytes():
                yield child


def _children(pid: int | str) -> Iterator[int]:
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        yield from map(int, listed.read_text().split())


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
