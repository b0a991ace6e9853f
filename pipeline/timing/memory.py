"""What memory processes have to themselves."""

import re
from contextlib import suppress
from pathlib import Path


def unique(pid: int | str = "self") -> int:
    """Bytes that would be free if this process ended (its unique set size). Raises OSError where the system does not tell."""
    told = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(1024 * int(size) for size in re.findall(r"^Private_(?:Clean|Dirty): +(\d+) kB", told, re.MULTILINE))


def most() -> int:
    """The most bytes that this program had in memory. Raises OSError where the system does not tell.

    Of itself, unlike `getrusage`, which begins with what the process had that started it.
    """
    (told,) = re.findall(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return 1024 * int(told)


def unique_with_children(pid: int) -> int:
    """Of a process and all below it, those aside that end meanwhile."""
    total = 0
    with suppress(OSError):
        total += unique(pid)
        for listed in Path(f"/proc/{pid}/task").glob("*/children"):
            total += sum(unique_with_children(int(child)) for child in listed.read_text().split())
    return total
