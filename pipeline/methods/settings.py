"""What every method may set: how much of a batch it learns from, and when it stops choosing."""

from typing import Literal

from pydantic import Field

from pipeline.config import Section


class MethodSettings(Section):
    """What every method may set: how much of a batch it learns from, and until when it chooses."""

    hard_fraction: float = Field(1.0, gt=0, le=1)
    """p: the share of a batch, the hardest, that is learnt from; at 1 all of it, and nothing is scored."""
    full_batch_fraction: float = Field(0.25, ge=0, le=1)
    """k: the share of the steps, at the end, that learn from whole batches."""
    scoring: Literal["exact", "half_size", "bfloat16"] = "exact"
    """How hardness is measured: by a pass as training's own, of pictures of half the side, or in bfloat16; what the last two save
    and change, `docs/performance.md` says."""
