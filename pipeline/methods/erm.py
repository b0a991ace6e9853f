"""Empirical risk minimisation: cross-entropy, no teacher."""

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy
from pipeline.methods.method import Method, Terms


class ERM(Method):
    """The cross-entropy alone."""

    family = "baseline"

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        return {"cross_entropy": cross_entropy(outputs.logits, batch.labels)}
