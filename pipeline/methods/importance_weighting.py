"""Importance weighting (Byrd and Lipton, ICML 2019) by class: mean of w_i · CE_i, w_i in proportion to 1 / (share of class y_i).

Shares are of all samples learnt from so far, and the weights of a batch have a mean of 1: what the method corrects is that
classes come unequally often. (The paper's point is that in deep networks the effect fades without early stopping or L2.) No
teacher.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.batches import Batch, Outputs
from pipeline.methods.method import Method, Problem, Terms
from pipeline.methods.settings import MethodSettings


class ImportanceWeighting(Method):
    """The cross-entropy, in which classes weigh the same."""

    family = "weights of samples"
    replaces_cross_entropy = True
    seen: Tensor

    def __init__(self, settings: MethodSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.register_buffer("seen", torch.zeros(problem.classes, dtype=torch.int64))

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        self.seen += torch.bincount(batch.labels, minlength=len(self.seen))
        weights = 1 / self.seen[batch.labels].to(outputs.logits.dtype)
        losses = F.cross_entropy(outputs.logits, batch.labels, reduction="none")
        return {"weighted": (weights * losses).sum() / weights.sum()}
