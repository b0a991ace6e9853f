"""Zero-shot, linear probe or Tip-Adapter: fitted to the sources' in splits, the one that names their out splits best."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.adapters import probe
from pipeline.adapters.labelled import Labelled
from pipeline.adapters.tip_adapter import TipAdapter
from pipeline.adapters.zero_shot import Adapter, ZeroShot

STRENGTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
ALPHAS, BETAS = (1.0, 3.0, 10.0), (1.0, 5.5, 20.0)


@dataclass(frozen=True)
class Chosen:
    """`validation` has the accuracy of the best of each kind on the sources' out splits."""

    adapter: Adapter
    validation: dict[str, float]


def choose(inside: Labelled, outside: Labelled, start: ZeroShot, fold: np.ndarray) -> Chosen:
    """The best by validation; of equals the first, zero-shot before all. `fold` is as in `probe.fit`."""
    best, found = -1.0, None
    validation: dict[str, float] = {}
    for adapter in _candidates(inside, start, fold):
        accuracy = outside.accuracy(adapter.logits(outside.features, outside.rows))
        validation[adapter.name] = max(accuracy, validation.get(adapter.name, 0.0))
        if accuracy > best:
            best, found = accuracy, adapter
    assert found is not None
    return Chosen(found, validation)


def _candidates(inside: Labelled, start: ZeroShot, fold: np.ndarray) -> Iterator[Adapter]:
    yield start
    for strength in STRENGTHS:
        yield probe.fit(inside, start, fold, strength)
    for alpha in ALPHAS:
        for beta in BETAS:
            yield TipAdapter(inside, start, alpha, beta)
