"""`configs/students/*.yaml`: the student and how it is trained, whatever the method."""

from typing import Literal

from pydantic import Field

from pipeline.averaging.settings import AveragingSettings
from pipeline.config import Section
from pipeline.optimiser import OptimiserSettings
from pipeline.samples.splits import SplitSettings
from pipeline.student.compute import ComputeSettings
from pipeline.student.settings import ModelSettings


class StudentSettings(Section):
    """`configs/students/*.yaml`; defaults are the paper's code's."""

    model: ModelSettings = ModelSettings()
    """The network."""
    optimiser: OptimiserSettings = OptimiserSettings()
    """How it learns."""
    teacher_logits: Literal["zero_shot", "adapted"] = "zero_shot"
    """`zero_shot` are the cache's. `adapted` are by a linear probe or a Tip-Adapter on the cached features, fitted to the source
    domains' in splits, each sample's without itself, where that names their out splits better."""
    averaging: AveragingSettings = AveragingSettings(start=300)
    """Which weights are evaluated and shipped."""
    split: SplitSettings = SplitSettings()
    """Which images validate."""
    steps: int = Field(5001, ge=1, le=10_000_000)
    """Updates."""
    batch: int = Field(32, ge=1)
    """Images of each source domain a step."""
    evaluate_every: int = Field(300, ge=1)
    """Steps between evaluations; the best by validation is the trial's result."""
    evaluate: Literal["deciding", "all"] = "deciding"
    """What an evaluation looks at: the sources' out splits, by which the best is chosen, or every split of every domain, whose
    accuracies then stand in the history. The chosen weights are evaluated on all at the end, either way."""
    checkpoint_every: int = Field(500, ge=1)
    """Steps between checkpoints, from which a trial that was stopped goes on; they change no number."""
    compute: ComputeSettings = ComputeSettings()
    """Number format, memory layout, compilation."""
    workers: int = Field(0, ge=0)
    """Processes that make the student's batches (0: none beside the main one)."""
