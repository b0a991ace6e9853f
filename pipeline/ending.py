"""How a command ends before its end: one sentence for an error or a signal, a traceback for who asks, and an exit code."""

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pipeline.errors import ScmdError, resource_error
from pipeline.progress import insist

# Set by `--debug`, or by the user.
DEBUG = "SCMD_DEBUG"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def listen(sentence: str) -> None:
    """From now on a signal that asks to stop says so, once, and unwinds; its exit code is 128 and its number, as in a shell."""

    def stop(number: int, _: FrameType | None) -> None:
        for one in SIGNALS:
            signal.signal(one, signal.SIG_IGN)  # the end is on its way
        insist(f"scmd: stopped; {sentence}")
        sys.exit(128 + number)

    for one in SIGNALS:
        if signal.getsignal(one) is not signal.SIG_IGN:  # as `nohup` wants it
            signal.signal(one, stop)


@contextmanager
def told() -> Iterator[None]:
    """Ends the process with a sentence and exit code 1 where a named error, or one of the system, comes through."""
    try:
        yield
    except BrokenPipeError:
        # Whoever read the output, as `head` does, has enough. What is buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (ScmdError, MemoryError, RuntimeError, OSError) as error:
        sentence = _sentence(error)
        if sentence is None:
            raise  # a fault of ours
        insist(f"scmd: {sentence}")
        if os.environ.get(DEBUG, "0") not in ("", "0"):
            traceback.print_exception(error)
        sys.exit(1)


def _sentence(error: Exception) -> str | None:
    if isinstance(error, ScmdError):
        return str(error)
    if known := resource_error(error):
        return str(known)
    if isinstance(error, OSError) and error.strerror:
        # A full disk, a missing right: the system's word, and the file where it names one.
        place = f"{error.filename}: " if error.filename is not None else ""
        return f"{place}{error.strerror}; make room or allow it, and run the same command again"
    return None
