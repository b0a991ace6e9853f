"""Caches of format 1 as they were once written: whoever changes the code must go on reading them.

`raw` and `zstd` are of the days before a block said what it was computed from.
"""

import hashlib
import json
from pathlib import Path

import pytest

from pipeline.cache import reader, verify
from pipeline.cache.layout import VIEW_ARRAYS

GOLDEN = Path(__file__).parent / "golden/format-1"


@pytest.mark.parametrize("name", ["raw", "zstd", "origin"])
def test_a_cache_of_format_1_is_read_as_it_was_written(name):
    expected = json.loads((GOLDEN / f"{name}.json").read_text())
    assert list(verify.faults(GOLDEN / name)) == []
    cache = reader.open_complete(GOLDEN / name)
    assert cache.content_digest() == expected["content"]
    assert cache.identity_digest == expected["identity"]
    assert [[row.id, row.width, row.height] for row in cache.rows] == expected["rows"]
    values = {array: cache.column(array) for array in VIEW_ARRAYS}
    values["text_embeddings"] = cache.read_text_embeddings()
    for array, what in expected["arrays"].items():
        assert list(values[array].shape) == what["shape"]
        assert str(values[array].dtype) == what["dtype"]
        assert values[array].ravel()[:3].tolist() == what["first"]
        assert hashlib.sha256(values[array].tobytes()).hexdigest() == what["sha256"]
