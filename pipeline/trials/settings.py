"""`configs/students/*.yaml`: the student and how it is trained, whatever the method."""

from pydantic import Field

from pipeline.averaging import AveragingSettings
from pipeline.config import Section
from pipeline.optimiser import OptimiserSettings
from pipeline.samples.splits import SplitSettings
from pipeline.student.settings import ModelSettings


class StudentSettings(Section):
    """Defaults are the official code's; `batch` counts images of each source domain."""

    model: ModelSettings = ModelSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    averaging: AveragingSettings = AveragingSettings(start=300)
    split: SplitSettings = SplitSettings()
    steps: int = Field(5001, ge=1)
    batch: int = Field(32, ge=1)
    evaluate_every: int = Field(300, ge=1)
    workers: int = Field(0, ge=0)
