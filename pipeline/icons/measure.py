"""How good a teacher is on a benchmark that it never saw: zero-shot, and a linear probe across domains."""

import numpy as np
import torch
import torch.nn.functional as F

PENALTY = 1e-3
ITERATIONS = 200


def shares(right: np.ndarray, domains: np.ndarray) -> dict[str, float]:
    """(N,) bool, (N,) names → domain → share right, and their plain `average`."""
    by_domain = {str(name): float(right[domains == name].mean()) for name in np.unique(domains)}
    return {**by_domain, "average": sum(by_domain.values()) / len(by_domain)}


def probe_answers(features: np.ndarray, labels: np.ndarray, domains: np.ndarray) -> np.ndarray:
    """(N, D) unit features → (N,) classes, each predicted by a linear classifier of the *other* domains' features."""
    answers = np.empty_like(labels)
    for name in np.unique(domains):
        inside = domains == name
        weights, bias = fit(features[~inside], labels[~inside])
        answers[inside] = (features[inside] @ weights.T + bias).argmax(1)
    return answers


def fit(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Multinomial logistic regression with an L2 penalty, by L-BFGS: weights (C, D) and bias (C,)."""
    x, y = torch.from_numpy(features).double(), torch.from_numpy(labels)
    weights = torch.zeros(int(y.max()) + 1, x.shape[1], dtype=torch.double, requires_grad=True)
    bias = torch.zeros(len(weights), dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def objective() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(x @ weights.T + bias, y) + PENALTY * weights.square().sum() / 2
        loss.backward()
        return loss

    optimizer.step(objective)
    return weights.detach().numpy(), bias.detach().numpy()
