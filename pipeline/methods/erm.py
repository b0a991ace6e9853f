"""Empirical risk minimisation: cross-entropy, no teacher."""

from torch import Tensor

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy
from pipeline.methods.settings import MethodSettings


class Settings(MethodSettings):
    pass


def terms(outputs: Outputs, batch: Batch, settings: Settings) -> dict[str, Tensor]:  # noqa: ARG001
    return {"cross_entropy": cross_entropy(outputs.logits, batch.labels)}
