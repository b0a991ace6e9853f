"""What can be done while the next of its kind is being made, as writing a block while the next one is encoded."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
Soon = Callable[[Callable[[], object]], None]


@contextmanager
def one_behind() -> Iterator[Soon]:
    """Gives a function that has another one called in a thread, after the one before it has ended: at most one waits.

    What a call raises is raised by the next, or at the end. All have ended when this is left, however it is left.
    """
    with ThreadPoolExecutor(1) as pool:
        last: list[Future[object]] = []

        def soon(work: Callable[[], object]) -> None:
            while last:
                last.pop().result()
            last.append(pool.submit(work))

        yield soon
        for one in last:
            one.result()


def one_late(items: Iterable[T]) -> Iterator[T]:
    """The same, each after the next one was begun: what is on its way to or from a GPU gets there meanwhile.

    Where beginning the next one fails, the one before it comes first.
    """
    waiting: list[T] = []
    try:
        for item in items:
            yield from waiting
            waiting = [item]
    except Exception:
        yield from waiting
        raise
    yield from waiting
