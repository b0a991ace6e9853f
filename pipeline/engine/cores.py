"""How many processes and threads this machine bears."""

import os

# Workers and trials that run at once unless one asks for more: each holds pictures, or a student and its batches, in memory.
MOST_PROCESSES = 8


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
