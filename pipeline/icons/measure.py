"""How good a teacher is on a data set that it never saw: zero-shot, and a linear probe across domains."""

import numpy as np
import torch
import torch.nn.functional as F

from pipeline.teacher import zero_shot
from pipeline.teacher.clip import Clip

EMBED_BATCH = 256

PENALTIES = (1e-3, 3e-4, 1e-4, 3e-5)
ITERATIONS = 200


def embed(teacher: Clip, images: np.ndarray) -> np.ndarray:
    """(N, 64, 64, 3) uint8 → (N, D) unit float32 rows."""
    batches = (images[start : start + EMBED_BATCH] for start in range(0, len(images), EMBED_BATCH))
    rows = np.concatenate([teacher.encode_images(batch, teacher.own_mean, teacher.own_std) for batch in batches])
    return zero_shot.unit(rows.astype(np.float32))


def shares(right: np.ndarray, domains: np.ndarray) -> dict[str, float]:
    """(N,) bool, (N,) names → domain → share right, and their plain `average`."""
    by_domain = {str(name): float(right[domains == name].mean()) for name in np.unique(domains)}
    return {**by_domain, "average": sum(by_domain.values()) / len(by_domain)}


def probe_answers(features: np.ndarray, labels: np.ndarray, domains: np.ndarray) -> np.ndarray:
    """(N, D) unit features → (N,) classes, each predicted by a linear classifier of the *other* domains' features.

    Its penalty is the one with which those other domains predict one another best; the domain itself has no say.
    """
    answers = np.empty_like(labels)
    for name in np.unique(domains):
        inside = domains == name
        others = features[~inside], labels[~inside], domains[~inside]
        best = max(PENALTIES, key=lambda penalty: _across(*others, penalty))
        answers[inside] = _answer(features[inside], *fit(*others[:2], best))
    return answers


def _across(features: np.ndarray, labels: np.ndarray, domains: np.ndarray, penalty: float) -> float:
    """The mean accuracy over domains, each predicted from the rest."""
    scores = []
    for name in np.unique(domains):
        inside = domains == name
        fitted = fit(features[~inside], labels[~inside], penalty)
        scores.append((_answer(features[inside], *fitted) == labels[inside]).mean())
    return float(np.mean(scores))


def _answer(features: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return np.asarray((features @ weights.T + bias).argmax(1))


def fit(features: np.ndarray, labels: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Multinomial logistic regression with an L2 penalty, by L-BFGS: weights (C, D) and bias (C,)."""
    x, y = torch.from_numpy(features).double(), torch.from_numpy(labels)
    weights = torch.zeros(int(y.max()) + 1, x.shape[1], dtype=torch.double, requires_grad=True)
    bias = torch.zeros(len(weights), dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def objective() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(x @ weights.T + bias, y) + penalty * weights.square().sum() / 2
        loss.backward()
        return loss

    optimizer.step(objective)
    return weights.detach().numpy(), bias.detach().numpy()
