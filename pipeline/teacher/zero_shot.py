"""Features, text and logit scale → zero-shot logits. The only place that computes them."""

import numpy as np

# Goes up when the same features and texts get other logits: it is part of a teacher cache's identity.
LOGITS_VERSION = 1


def class_embeddings(text_embeddings: np.ndarray) -> np.ndarray:
    """(P, C, D) raw text embeddings → (C, D) float64: unit mean over templates of unit rows."""
    mean = unit(text_embeddings.astype(np.float64)).mean(0)
    return unit(mean)


def logits(image_features: np.ndarray, text_embeddings: np.ndarray, logit_scale: float) -> np.ndarray:
    """(N, D) stored float16 features, (P, C, D) text, exp(log scale) → (N, C) float16.

    scale · unit image · unit class embedding, accumulated in float64, so that the rounded result does not depend on
    how rows are grouped.
    """
    similarity = unit(image_features.astype(np.float64)) @ class_embeddings(text_embeddings).T
    return np.asarray((logit_scale * similarity).astype(np.float16))


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of the last axis at length 1; a zero row stays zero."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12))
