"""No adapter: what the class texts alone say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np


class Adapter(Protocol):
    """A way from a teacher's features to logits. `settings` are its numbers, `tensors` what of it is kept."""

    name: ClassVar[str]

    @property
    def settings(self) -> dict[str, Any]: ...

    @property
    def tensors(self) -> Mapping[str, np.ndarray]: ...

    def logits(self, features: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """(b, D) float64 of length 1, of any view, and their rows in the cache → (b, C). Of a sample that it was fitted to, what
        it says without it."""
        ...


@dataclass(frozen=True)
class ZeroShot:
    """`text` (C, D) unit class embeddings; `scale` is exp(logit scale)."""

    name: ClassVar[str] = "zero_shot"
    text: np.ndarray
    scale: float

    @property
    def settings(self) -> dict[str, Any]:
        """None."""
        return {}

    @property
    def tensors(self) -> Mapping[str, np.ndarray]:
        """None: the cache has its logits."""
        return {}

    def logits(self, features: np.ndarray, rows: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """(b, C): scale · cos."""
        return np.asarray(self.scale * features @ self.text.T)
