"""What is left to do, shared out among processes that may die: each thing is done once, those of a dead one by another."""

import threading
from collections import Counter, deque
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

from pipeline.cluster.joining import TRIES
from pipeline.errors import ResourceError

T = TypeVar("T", bound=Hashable)


class Shares(Generic[T]):
    """Shares become smaller towards the end, so that all takers end at about the same time."""

    def __init__(self, things: Sequence[T], takers: int) -> None:
        self._waiting, self._takers = deque(things), takers
        self._taken: set[T] = set()
        self._deaths: Counter[T] = Counter()
        self._changed = threading.Condition()
        self.closed = False

    @property
    def begun_again(self) -> int:
        """How many things were begun by a process that died."""
        return len(self._deaths)

    def take(self) -> list[T]:
        """The next share; empty once all is done, or closed. Waits while others have all that is left, who may give it back."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self._taken or self.closed)
            count = 0 if self.closed else -(-len(self._waiting) // (2 * self._takers))
            share = [self._waiting.popleft() for _ in range(count)]
            self._taken |= set(share)
            return share

    def done(self, thing: T) -> None:
        """Says that a thing is done."""
        with self._changed:
            self._taken.remove(thing)
            self._changed.notify_all()

    def died_at(self, thing: T) -> None:
        """Says that who had begun a thing died. Raises ResourceError where too many did at the same."""
        with self._changed:
            self._deaths[thing] += 1
            if self._deaths[thing] >= TRIES:
                raise ResourceError(
                    f"{TRIES} processes of the cluster died at the same block of the cache; if memory ran out there, set a "
                    "smaller `batch` or fewer workers, and run the same command again: what is finished is kept"
                )

    def give_back(self, share: Sequence[T]) -> None:
        """Of who died: the first of these, which may have been why, comes last now."""
        with self._changed:
            self._taken -= set(share)
            self._waiting.extend((*share[1:], *share[:1]))
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody gets any more."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()
