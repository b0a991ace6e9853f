"""Zero-shot, linear probe or Tip-Adapter: fitted to the sources' in splits, the one that names their out splits best."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.adapters import probe
from pipeline.adapters.labelled import Labelled
from pipeline.adapters.tip_adapter import KEYS, TipAdapter, with_keys
from pipeline.adapters.zero_shot import Adapter, ZeroShot
from pipeline.progress import track
from pipeline.queries.neighbours import Known

STRENGTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
ALPHAS, BETAS = (1.0, 3.0, 10.0), (1.0, 5.5, 20.0)


@dataclass(frozen=True)
class Chosen:
    """`validation` has the accuracy of the best of each kind on the sources' out splits."""

    adapter: Adapter
    validation: dict[str, float]


@dataclass(frozen=True)
class _Candidate:
    """A kind of adapter, how well it names the out splits, and how it is made."""

    kind: str
    accuracy: float
    made: Callable[[], Adapter]


def choose(inside: Labelled, outside: Labelled, start: ZeroShot, fold: np.ndarray) -> Chosen:
    """The best by validation; of equals the first, zero-shot before all. `fold` is as in `probe.fit`. Of a picture that stands in
    both splits no one is asked: what was fitted to it knows its label."""
    fresh = outside.part(~np.isin(outside.rows, inside.rows))
    judged = fresh if len(fresh.rows) else outside
    found = list(_candidates(inside, judged, start, fold))
    best = max(found, key=lambda one: one.accuracy)
    validation: dict[str, float] = {}
    for one in found:
        validation[one.kind] = max(one.accuracy, validation.get(one.kind, 0.0))
    return Chosen(best.made(), validation)


def _candidates(inside: Labelled, judged: Labelled, start: ZeroShot, fold: np.ndarray) -> Iterator[_Candidate]:
    plain = start.logits(judged.features, judged.rows)
    yield _Candidate(start.name, judged.accuracy(plain), lambda: start)
    for strength in track(STRENGTHS, len(STRENGTHS), "fitting probes"):
        weights = probe.weights(inside, start, strength)
        accuracy = judged.accuracy(judged.features @ weights.T)
        yield _Candidate(probe.Probe.name, accuracy, partial(probe.in_folds, inside, start, fold, strength, weights))
    others = Known.of(inside.features, inside.rows).nearest(judged.features, judged.rows, KEYS)
    for alpha in ALPHAS:
        for beta in BETAS:
            accuracy = judged.accuracy(with_keys(plain, others, inside.labels, alpha, beta))
            yield _Candidate(TipAdapter.name, accuracy, partial(TipAdapter, inside, start, alpha, beta))
