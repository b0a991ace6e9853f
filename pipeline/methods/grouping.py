"""Samples of a batch by domain or class, and what their groups have between them."""

from collections.abc import Callable, Sequence
from itertools import combinations

import torch
from torch import Tensor


def groups(labels: Tensor) -> list[Tensor]:
    """(B,) → for each label that occurs, in rising order, the (n,) indices of its samples."""
    return [torch.nonzero(labels == one)[:, 0] for one in labels.unique()]


def mean_over_pairs(parts: Sequence[Tensor], distance: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """() of the distances of all unordered pairs of parts (n_i, d); 0 where there is one part alone."""
    found = [distance(one, other) for one, other in combinations(parts, 2)]
    return torch.stack(found).mean() if found else parts[0].sum() * 0
