"""When a method selects, and how much it keeps."""

import math


def is_selecting(step: int, steps: int, full_batch_fraction: float) -> bool:
    """Whether update `step` (from 0) of `steps` still selects: step ≤ ⌊steps · (1 − k)⌋."""
    return step <= math.floor(steps * (1 - full_batch_fraction))


def kept(batch: int, hard_fraction: float) -> int:
    """⌊p · B⌋, the number of samples that selection keeps; at least one."""
    return max(1, math.floor(batch * hard_fraction))
