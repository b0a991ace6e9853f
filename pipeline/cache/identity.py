"""What determines a cache's numbers → one digest; two of them → what differs, in words.

An identity knows no number of samples or views, no device and no library version: those are provenance.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import CacheError

# Parts that the image pass does not depend on.
TEXT_PARTS = ("templates", "further_templates", "classes", "logits")


def canonical(data: object) -> bytes:
    """JSON with sorted keys and no spaces, so that equal data has equal bytes."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(identity: dict[str, Any]) -> str:
    """SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(identity)).hexdigest()


def image_part(identity: dict[str, Any]) -> dict[str, Any]:
    """The identity without what only text embeddings and logits follow from."""
    return {key: value for key, value in identity.items() if key not in TEXT_PARTS}


def differences(
    found: dict[str, Any], expected: dict[str, Any], phrase: str = "{} in the first, {} in the second"
) -> Iterator[str]:
    """One sentence for each part that differs, in the order of the keys."""
    for key in sorted({*found, *expected}):
        here, wanted = found.get(key), expected.get(key)
        if here == wanted:
            continue
        if isinstance(here, dict) and isinstance(wanted, dict):
            yield from (f"{key}: {inner}" for inner in differences(here, wanted, phrase))
        else:
            yield f"{key} is {phrase.format(*_shortened(here, wanted))}"


def first_difference(found: dict[str, Any], expected: dict[str, Any]) -> str | None:
    """One sentence for the first part in which a cache is not what is expected, or None."""
    return next(differences(found, expected, "{} in the cache, {} is expected"), None)


def require_same(found: dict[str, Any], expected: dict[str, Any], folder: Path) -> None:
    """Raises CacheError naming the first difference of what a cache is and what a configuration asks for."""
    if difference := first_difference(found, expected):
        raise CacheError(
            f"{folder}: another teacher cache than the configuration asks for: {difference}; run `scmd teacher`, or "
            "restore the teacher's and data set's configuration that it was made with"
        )


def _shortened(here: object, there: object) -> tuple[str, str]:
    """Both as JSON; of long ones the part where they begin to differ."""
    texts = [json.dumps(value, ensure_ascii=False) for value in (here, there)]
    apart = next((at for at, (one, other) in enumerate(zip(*texts, strict=False)) if one != other), 0)
    start = max(0, apart - 40) if max(len(text) for text in texts) > 120 else 0
    first, second = (
        f"{'…' if start else ''}{text[start : start + 117]}{'…' if len(text) > start + 117 else ''}" for text in texts
    )
    return first, second
