"""SWAD (Cha et al., NeurIPS 2021): cross-entropy, shipped as the mean of every step's weights in the validation loss's valley."""

from pydantic import Field

from pipeline.averaging.averaging import Averaging
from pipeline.averaging.settings import AveragingSettings
from pipeline.averaging.valley import ValleyMean
from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy
from pipeline.methods.method import Method, Terms
from pipeline.methods.settings import MethodSettings
from pipeline.student.model import Shipped


class Settings(MethodSettings):
    """What makes a valley of the validation loss."""

    converged: int = Field(3, ge=1)
    """Ns: evaluations that must not fall below a valley's first."""
    tolerated: int = Field(6, ge=1)
    """Ne: evaluations that end a valley together."""
    ratio: float = Field(1.3, gt=0)
    """r: how far the loss may rise in a valley (VLCS: 1.2)."""


class SWAD(Method):
    """The cross-entropy; the weights are the mean over a valley."""

    family = "averaging"
    Settings = Settings
    version = 2

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        return {"cross_entropy": cross_entropy(outputs.logits, batch.labels)}

    def averaging(self, shipped: Shipped, students: AveragingSettings, steps: int) -> Averaging:  # noqa: ARG002
        return ValleyMean(shipped, self.settings.converged, self.settings.tolerated, self.settings.ratio)
