"""What a student says to eight samples, made up, and methods that are built for it: losses small enough to reckon by hand."""

import numpy as np
import torch
import torch.nn.functional as F

from pipeline import methods
from pipeline.batches import Outputs
from pipeline.methods import METHODS
from pipeline.methods.method import Problem
from tests.small_trials import predictor_of, prompts

WIDTH, CLASSES, EMBEDDING = 6, 4, 5
SOURCES = ("a", "b", "c")


def made(name, **values):
    text = F.normalize(torch.randn(CLASSES, EMBEDDING, generator=torch.Generator().manual_seed(0)), dim=1)
    settings = METHODS[name].Settings(**values)
    problem = Problem(
        WIDTH,
        text,
        10.0,
        domains=3,
        samples=12,
        steps=10,
        network=predictor_of(WIDTH),
        sources=SOURCES,
        prompts=prompts(methods.templates(name, settings, SOURCES), CLASSES, EMBEDDING),
    )
    return methods.build(name, settings, problem, seed=1)


def said(count=8, seed=0):
    random = torch.Generator().manual_seed(seed)
    return Outputs(
        torch.randn(count, WIDTH, generator=random, requires_grad=True),
        torch.randn(count, CLASSES, generator=random),
        torch.randn(count, EMBEDDING, generator=random),
        torch.tensor(2.6),
    )


def cross_entropies(logits, labels):
    """(B,) float64, by the definition."""
    z = logits.detach().double().numpy()
    return np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), labels.numpy()]


LABELS = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def softmax(rows: np.ndarray) -> np.ndarray:
    powers = np.exp(rows - rows.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def numbers(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()
