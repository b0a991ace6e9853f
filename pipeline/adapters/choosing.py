"""Zero-shot, linear probe or Tip-Adapter: fitted to the sources' in splits, the one that names their out splits best."""

from collections.abc import Iterator
from dataclasses import dataclass

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
    """A kind of adapter with its numbers, and how well it names the out splits."""

    kind: str
    numbers: tuple[float, ...]
    accuracy: float


def choose(inside: Labelled, outside: Labelled, start: ZeroShot, fold: np.ndarray) -> Chosen:
    """The best by validation; of equals the first, zero-shot before all. `fold` is as in `probe.fit`. Of a picture that stands in
    both splits no one is asked: what was fitted to it knows its label."""
    fresh = outside.part(~np.isin(outside.rows, inside.rows))
    judged = fresh if len(fresh.rows) else outside
    found = list(_candidates(inside, judged, start))
    best = max(found, key=lambda one: one.accuracy)
    validation: dict[str, float] = {}
    for one in found:
        validation[one.kind] = max(one.accuracy, validation.get(one.kind, 0.0))
    return Chosen(_adapter(best, inside, start, fold), validation)


def _candidates(inside: Labelled, judged: Labelled, start: ZeroShot) -> Iterator[_Candidate]:
    plain = start.logits(judged.features, judged.rows)
    yield _Candidate(start.name, (), judged.accuracy(plain))
    for strength in track(STRENGTHS, len(STRENGTHS), "fitting probes"):
        answers = judged.features @ probe.weights(inside, start, strength).T
        yield _Candidate(probe.Probe.name, (strength,), judged.accuracy(answers))
    others = Known.of(inside.features, inside.rows).nearest(judged.features, judged.rows, KEYS)
    for alpha in ALPHAS:
        for beta in BETAS:
            answers = with_keys(plain, others, inside.labels, alpha, beta)
            yield _Candidate(TipAdapter.name, (alpha, beta), judged.accuracy(answers))


def _adapter(best: _Candidate, inside: Labelled, start: ZeroShot, fold: np.ndarray) -> Adapter:
    if best.kind == start.name:
        return start
    if best.kind == TipAdapter.name:
        alpha, beta = best.numbers
        return TipAdapter(inside, start, alpha, beta)
    (strength,) = best.numbers
    return probe.fit(inside, start, fold, strength)
