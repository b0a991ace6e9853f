"""How many processes and threads this machine bears."""

import os
import resource

# Trials that run at once unless one asks for more: each holds a student and its batches in memory.
MOST_TRIALS = 8

# Fewer pictures are decoded and drawn sooner by the main process than by one more that must first be started.
PICTURES_A_WORKER = 1000


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processes(asked: int | None, pictures: int) -> int:
    """Workers for so many pictures: as many as were asked for; where nobody asked, as many as the work is worth and cores are."""
    return min(cores(), pictures // PICTURES_A_WORKER, _kept_open()) if asked is None else asked


def _kept_open() -> int:
    """Workers for which this process may keep enough files open: four each, beside a hundred of its own."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 10 if soft == resource.RLIM_INFINITY else max(1, (soft - 100) // 4)
