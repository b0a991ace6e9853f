"""Of which samples of a batch a method learns, and when it chooses."""

from typing import Literal

from pydantic import Field

from pipeline.config import Section


class SelectionSettings(Section):
    """A share p of each batch, by a rule; the defaults of all but p are the paper's."""

    select: Literal["hardest", "easiest", "random", "divergence", "distillation", "hard_without_doubt"] = "hardest"
    """Which samples are kept: those of largest or smallest cross-entropy, any, those where the student is furthest from the
    teacher (KL at temperature 1), those of largest CE + λ1 · T² · KL, with the method's λ1 and T, or the hardest of those whose
    label is not in doubt."""
    least_agreement: float = Field(0.1, ge=0, le=1)
    """For `hard_without_doubt`: a label is in doubt where it has a smaller share among the sample's 20 nearest of the sources' in
    splits, by the teacher's features; `scmd cache doubtful` lists such, out splits among them."""
    hard_fraction: float = Field(1.0, gt=0, le=1)
    """p: the share of a batch that is learnt from; at 1 all of it, and nothing is scored."""
    full_batch_fraction: float = Field(0.25, ge=0, le=1)
    """k: the share of the steps, at the end, that learn from whole batches."""
    select_from: float = Field(0.0, ge=0, lt=1)
    """The share of the steps, at the start, that learn from whole batches."""
    anneal: float = Field(0.0, ge=0, le=1)
    """The share of the steps, after those, over which the share of a batch falls evenly from 1 to p."""
    floor: int = Field(1, ge=1)
    """The fewest samples that are kept, where a batch has as many."""
    random_fraction: float = Field(0.0, ge=0, le=1)
    """The share of the kept that is drawn at random from what the rule left out."""
    nominal_steps: int | None = Field(None, ge=1)
    """The steps of which k is a share, where they are not the trial's own: the official code counts 5000 whatever the length."""
    scoring: Literal["exact", "half_size", "bfloat16"] = "exact"
    """How samples are scored: by a pass as training's own, of pictures of half the side, or in bfloat16; what the last two save
    and change, `docs/performance.md` says."""
