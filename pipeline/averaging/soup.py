"""Model soups (Wortsman et al., ICML 2022): the mean of the weights of several runs from the same start.

`uniform` takes all. `greedy` begins with the run of the highest validation accuracy, goes through the others in its order, and
keeps those with which the mean validates no worse than before.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

Rule = Literal["uniform", "greedy"]
Weights = dict[str, Tensor]


def mean(runs: Sequence[Weights]) -> Weights:
    """Of each tensor of numbers, in float64; what counts is the first run's."""
    first = runs[0]
    return {
        name: torch.stack([run[name].double() for run in runs]).mean(0).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in first.items()
    }


def chosen(runs: Sequence[Weights], rule: Rule, validated: Callable[[Weights], float]) -> list[int]:
    """Which of the runs, given by falling validation accuracy, are in the soup; `validated` says that of a mean."""
    if rule == "uniform":
        validated(mean(runs))
        return list(range(len(runs)))
    kept, best = [0], validated(mean(runs[:1]))
    for at in range(1, len(runs)):
        found = validated(mean([runs[one] for one in [*kept, at]]))
        if found >= best:
            kept, best = [*kept, at], found
    return kept
