"""JSON of a cache, read strictly: a key twice, a number that is none, a giant or an endless nest is refused."""

import json
from collections import Counter
from typing import Any

import numpy as np

from pipeline.errors import CacheError

# Bytes. The ledger of a block with 1,000 views has some 600 KB; classes and templates of the largest sets some 2 MB.
LIMIT = 4 << 20
# Objects, lists and what is in them: each costs some 200 bytes of memory, however short it is written.
PARTS = 1 << 17
DEPTH = 64


def parse(data: bytes, where: str) -> dict[str, Any]:
    """The object of a JSON file. Raises CacheError naming `where`."""
    if (parts := sum(data.count(mark) for mark in (b"{", b"[", b","))) > PARTS:
        raise CacheError(f"{where}: not the JSON that a cache has ({parts:,} parts, at most {PARTS:,} are expected)")
    if (depth := _depth(data)) > DEPTH:
        raise CacheError(f"{where}: not the JSON that a cache has ({depth:,} levels, at most {DEPTH} are expected)")
    try:
        document = json.loads(data, object_pairs_hook=_unique, parse_constant=_refuse)
    except ValueError as error:
        raise CacheError(f"{where}: not the JSON that a cache has ({str(error).splitlines()[0]})") from error
    if not isinstance(document, dict):
        raise CacheError(f"{where}: not the JSON that a cache has (an object is expected)")
    return document


def _depth(data: bytes) -> int:
    """How many objects and lists are open at once at most; brackets in texts count, too."""
    characters = np.frombuffer(data, np.uint8)
    opening = (characters == ord("{")) | (characters == ord("["))
    closing = (characters == ord("}")) | (characters == ord("]"))
    return int((opening.astype(np.int8) - closing).cumsum(dtype=np.int32).max(initial=0))


def _unique(pairs: list[tuple[str, object]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"key {twice[:80]!r} stands twice")
    return document


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")
