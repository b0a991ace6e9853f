"""What every method may set: how much of a batch it learns from, and when it stops choosing."""

from pydantic import Field

from pipeline.config import Section


class MethodSettings(Section):
    """`hard_fraction` p keeps the ⌊p · B⌋ hardest samples until step ⌊steps · (1 − k)⌋, k = `full_batch_fraction`.

    At p = 1 the whole batch is always used, and nothing is scored.
    """

    hard_fraction: float = Field(1.0, gt=0, le=1)
    full_batch_fraction: float = Field(0.25, ge=0, le=1)
