"""A linear probe that starts from the class texts: scale · W x, where W minimises the mean cross-entropy + strength · ‖W − E‖².

E are the class embeddings, so that without a sample, or with all strength, it is zero-shot. A probe that was fitted to a sample
returns its label: of such a sample another one answers, fitted without a fifth of the pictures to which it belongs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from pipeline.adapters.labelled import Labelled
from pipeline.adapters.zero_shot import ZeroShot
from pipeline.engine.device import device

FOLDS = 5
STEPS = 200


@dataclass(frozen=True)
class Probe:
    """`weights` (FOLDS + 1, C, D): those of each fold's others, then those of all. `fold` (N,) says for each row of the cache
    whose answer it gets: FOLDS for what none was fitted to."""

    name: ClassVar[str] = "linear_probe"
    weights: np.ndarray
    fold: np.ndarray
    scale: float
    strength: float

    @property
    def settings(self) -> dict[str, Any]:
        """Its strength."""
        return {"strength": self.strength}

    @property
    def tensors(self) -> Mapping[str, np.ndarray]:
        """The weights, to be multiplied by the scale."""
        return {"weights": self.weights.astype(np.float32)}

    def logits(self, features: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """(b, C), each by the weights of its fold."""
        found = np.empty((len(rows), self.weights.shape[1]))
        for fold in np.unique(self.fold[rows]):
            here = self.fold[rows] == fold
            found[here] = self.scale * features[here] @ self.weights[fold].T
        return found


def fit(inside: Labelled, start: ZeroShot, fold: np.ndarray, strength: float) -> Probe:
    """`fold` (N,) is that of every row of the cache, below FOLDS; it counts for those of `inside` alone."""
    return in_folds(inside, start, fold, strength, weights(inside, start, strength))


def in_folds(inside: Labelled, start: ZeroShot, fold: np.ndarray, strength: float, of_all: np.ndarray) -> Probe:
    """`fit` for whom the weights `of_all` (C, D) are there already."""
    own = fold[inside.rows]
    others = [weights(inside.part(own != one), start, strength) for one in range(FOLDS)]
    asked = np.full(len(fold), FOLDS)
    asked[inside.rows] = own
    return Probe(np.stack([*others, of_all]), asked, start.scale, strength)


def weights(inside: Labelled, start: ZeroShot, strength: float) -> np.ndarray:
    """(C, D) of a probe fitted to all. L-BFGS in float64 from E, on a GPU where there is one; the problem is convex, and its end
    does not hang on the way."""
    rows, named, text = (torch.from_numpy(one).to(device()) for one in (inside.features, inside.labels, start.text))
    change = torch.zeros_like(text, requires_grad=True)
    optimiser = torch.optim.LBFGS([change], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        answers = start.scale * rows @ (text + change).T
        value = F.cross_entropy(answers, named) + strength * change.square().sum()
        value.backward()
        return value

    if len(rows):
        optimiser.step(loss)
    return np.asarray((text + change).detach().cpu().numpy())
