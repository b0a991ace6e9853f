"""Tip-Adapter (Zhang et al., ECCV 2022): zero-shot logits + α · Σ_j exp(−β · (1 − cos(x, k_j))) · onehot(y_j) over cached keys k.

The keys are the labelled samples themselves. Here the sum goes over the k nearest, which FAISS finds, and a picture is no key of
itself, in whichever view it is asked about.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from pipeline.adapters.labelled import Labelled
from pipeline.adapters.zero_shot import ZeroShot
from pipeline.queries.neighbours import Known, Others

# How many keys have a say.
KEYS = 16


@dataclass(frozen=True)
class TipAdapter:
    """`keys` are the labelled samples; α weighs their say, β says how fast it falls with distance."""

    name: ClassVar[str] = "tip_adapter"
    keys: Labelled
    start: ZeroShot
    alpha: float
    beta: float

    @property
    def settings(self) -> dict[str, Any]:
        """Its numbers."""
        return {"alpha": self.alpha, "beta": self.beta, "keys": KEYS}

    @property
    def tensors(self) -> Mapping[str, np.ndarray]:
        """The keys, as rows of the cache, and their labels."""
        return {"rows": self.keys.rows, "labels": self.keys.labels}

    @cached_property
    def _known(self) -> Known:
        return Known.of(self.keys.features, self.keys.rows)

    def logits(self, features: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """(b, C)."""
        others = self._known.nearest(features, rows, KEYS)
        return with_keys(self.start.logits(features, rows), others, self.keys.labels, self.alpha, self.beta)


def with_keys(logits: np.ndarray, others: Others, labels: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """(b, C) zero-shot logits with what the nearest keys say, of which `labels` has the labels."""
    found = logits.copy()
    say = others.counted * np.exp(-beta * (1 - others.cosines))
    np.add.at(found, (np.arange(len(found))[:, None], labels[others.known]), alpha * say)
    return found
