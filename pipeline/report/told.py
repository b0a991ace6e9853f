"""What a page says of an experiment beside its numbers: what ran, what stage one cost, where everything is from."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.cache.reader import TeacherCache


def cost_of_cache(cache: TeacherCache) -> str:
    """Stage one in a sentence."""
    shape = cache.shape
    return (
        f"Stage one encoded {shape.samples:,} images in {shape.views} views each, once for all trials: "
        f"{shape.samples * shape.views:,} passes of the teacher, a cache of {cache.size / 1e6:,.0f} MB."
    )


def provenance(cache: TeacherCache, cards: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Digests and versions; where trials differ in one, all of it."""
    teacher = cache.identity["teacher"]
    return {
        "teacher": f"{teacher.get('model', '?')}, weights SHA-256 {teacher.get('weights_sha256', '?')}",
        "teacher cache": f"identity {cache.identity_digest}, content {cache.content_digest()}",
        "samples": _all(cards, "samples"),
        "students start from": _all(cards, "starting_weights_sha256") or "random weights",
        "students made with": _all(cards, "made_with"),
        "training version": _all(cards, "training_version"),
    }


def _all(cards: Sequence[Mapping[str, Any]], key: str) -> str:
    return "; ".join(dict.fromkeys(_said(card[key]) for card in cards if key in card))


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return str(value)
