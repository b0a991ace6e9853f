"""Active Bias (Chang et al., NeurIPS 2017), weighted by prediction variance: mean of w_i · CE_i.

Each sample remembers the probabilities p(y) that the student gave its label when it was drawn. With their variance Var over |H|
of them, its deviation is √(Var + Var² / (|H| − 1)); w_i is that plus its mean over the batch, scaled to a mean of 1. A sample
seen less than twice counts as one of mean deviation. No teacher.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.batches import Batch, Outputs
from pipeline.methods.method import Method, Problem, Terms
from pipeline.methods.settings import MethodSettings


class ActiveBias(Method):
    """The cross-entropy, weighed by how uncertain each sample was."""

    family = "weights of samples"
    replaces_cross_entropy = True
    seen: Tensor
    mean: Tensor
    squares: Tensor

    def __init__(self, settings: MethodSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        # Of every sample: how often it was drawn, and the mean of its p(y) with the sum of their squared distances from it.
        for name in ("seen", "mean", "squares"):
            self.register_buffer(name, torch.zeros(problem.samples, dtype=torch.float64))

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        losses = F.cross_entropy(outputs.logits, batch.labels, reduction="none")
        weights = self.weights(batch.rows).to(losses.dtype)
        self.remember(batch.rows, torch.exp(-losses.detach()))
        return {"weighted": (weights * losses).mean()}

    def weights(self, rows: Tensor) -> Tensor:
        """(B,) rows of the samples table → (B,) float64, of mean 1."""
        seen = self.seen[rows]
        known = seen > 1
        if not known.any():
            return torch.ones_like(seen)
        variance = self.squares[rows] / seen.clamp(min=1)
        deviations = (variance + variance**2 / (seen - 1).clamp(min=1)).sqrt()
        typical = deviations[known].mean()
        weights = torch.where(known, deviations, typical) + typical
        return weights / weights.mean() if typical > 0 else torch.ones_like(seen)

    def remember(self, rows: Tensor, probabilities: Tensor) -> None:
        """(B,), (B,): a row that stands twice in a batch is remembered twice."""
        unique, at, drawn = rows.unique(return_inverse=True, return_counts=True)
        values = probabilities.double()
        mean = torch.zeros(len(unique), dtype=torch.float64, device=rows.device).index_add(0, at, values) / drawn
        squares = torch.zeros_like(mean).index_add(0, at, (values - mean[at]) ** 2)
        # Chan's rule for the moments of two groups together.
        before, distance = self.seen[unique], mean - self.mean[unique]
        self.seen[unique] = before + drawn
        self.mean[unique] += distance * drawn / (before + drawn)
        self.squares[unique] += squares + distance**2 * before * drawn / (before + drawn)
