"""Tables of many records."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def made_at_once() -> Iterator[None]:
    """While hundreds of thousands of records are made, of which none is garbage, Python's collector looks through them again and
    again: without it they take half the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
