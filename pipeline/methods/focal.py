"""Focal loss (Lin et al., ICCV 2017): mean of −α · (1 − p_y)^γ · log p_y, p = softmax(z).

The official code's SCMD_focal is this beside SCMD, with α = 1 (`scmd: {beside: {focal: {}}}`): the library that it calls divides
by the sum of the weights, so that the α of its settings cancels. It also selects by this loss, which orders samples as
the cross-entropy does: `hardest` is the same choice. No teacher.
"""

from typing import ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pipeline.batches import Batch, Outputs
from pipeline.methods.method import Method, Terms
from pipeline.methods.ranges import Range, Ranges, uniform
from pipeline.methods.settings import MethodSettings


class Settings(MethodSettings):
    """The loss's numbers."""

    alpha: float = Field(1.0, gt=0)
    """α, of all samples: beside other terms, the weight."""
    gamma: float = Field(2.0, ge=0)
    """γ: how little the easy ones weigh."""


class Focal(Method):
    """The cross-entropy, of which the easy samples weigh little."""

    family = "weights of samples"
    Settings = Settings
    replaces_cross_entropy = True
    ranges: ClassVar[Ranges] = {"gamma": Range("gamma", uniform(1, 5))}  # the SCMD code's; its α, drawn too, cancels

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        losses = focal(outputs.logits, batch.labels, self.settings.alpha, self.settings.gamma)
        return {"focal": losses.mean()}


def focal(logits: Tensor, labels: Tensor, alpha: float, gamma: float) -> Tensor:
    """(B, C), (B,) → (B,)."""
    losses = F.cross_entropy(logits, labels, reduction="none")
    # 1 − p_y from the loss itself, exact where p_y is near 1; at 0 a power has no finite slope for γ < 1.
    missing = (-(-losses).expm1()).clamp(min=1e-12)
    return alpha * missing**gamma * losses
