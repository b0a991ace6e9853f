"""Caches whose files are each whole, and do not belong together: parts restored, a head exchanged, text embedded again."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from pipeline.cache import compare, ledger, reader, verify, writer
from pipeline.cache.layout import IMAGE_ARRAYS, TEXT_CHUNK
from pipeline.cache.writer import HEAD_PATHS, Work, Writer
from pipeline.errors import CacheError
from tests.cache.test_cache import ALL, MADE_BY, SHAPE, TEXTS, arrays, attributes, make, origins, rows

SHORT = replace(SHAPE, samples=9)


def copy(paths, source, target) -> None:
    for path in paths:
        shutil.copy(source / path, target / path)


def of_block(folder, block: int) -> list[str]:
    name = ledger.name_of(block)
    return [*ledger.read(folder, name).files, ledger.path_of(name)]


def other(folder, shape=SHAPE, its_rows=None, text=0.0, **identity) -> None:
    """A cache like that of `make`, of another identity, of other rows, or with other text."""
    named, known = its_rows or rows(shape.samples), attributes(shape, "raw", **identity)
    cache = Writer(folder, shape, "raw", replace(origins(shape, **identity), rows=named), MADE_BY)
    cache.write_head(known, named, TEXTS, {TEXT_CHUNK: np.arange(40, dtype=np.float32).reshape(2, 4, 5) + text})
    for work in cache.missing(ALL):
        cache.write(work, arrays(shape, work))


OTHERS = {
    "of another teacher": ({"teacher": {"embedding": 5, "weights_sha256": "0"}}, "its features are of another teacher"),
    "of another seed": ({"drawing": 1}, "its features are of another teacher, decoding or views"),
    "of other rows": ({"its_rows": rows(10)[::-1]}, "its rows are other images"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_block_of_another_cache_counts_no_more(tmp_path, name):
    options, what = OTHERS[name]
    cache = make(tmp_path / "one")
    other(tmp_path / "two", **options)
    copy(of_block(tmp_path / "two", 1), tmp_path / "two", tmp_path / "one")
    faults = list(verify.faults(tmp_path / "one"))
    assert [fault.path for fault in faults] == ["ledger/1.json"]
    assert faults == verify.visible_faults(reader.open_any(tmp_path / "one"))
    assert what in faults[0].what
    with pytest.raises(CacheError, match=r"ledger/1\.json: of another cache than `head\.json`"):
        reader.open_complete(tmp_path / "one")
    with pytest.raises(CacheError, match=r"ledger/1\.json: of another cache"):
        reader.open_any(tmp_path / "one").column("pixel_probe")
    harmed = replace(cache, harmed={fault.path for fault in faults})
    assert [(work.block, work.first, work.arrays) for work in harmed.missing(ALL)] == [(1, 0, ALL)]


@pytest.mark.parametrize("name", OTHERS)
def test_blocks_under_the_head_of_another_cache_count_no_more(tmp_path, name):
    make(tmp_path / "one")
    other(tmp_path / "two", **OTHERS[name][0])
    copy(HEAD_PATHS, tmp_path / "two", tmp_path / "one")
    named = {fault.path for fault in verify.faults(tmp_path / "one")}
    assert named == {"ledger/0.json", "ledger/1.json", "ledger/2.json"}


def test_rows_beyond_an_older_head_count_no_more(tmp_path):
    """Else images that are added later would get the features of those that once stood there."""
    make(tmp_path / "old", SHORT)
    make(tmp_path / "one")
    copy(HEAD_PATHS, tmp_path / "old", tmp_path / "one")
    assert "ledger/2.json" in {fault.path for fault in verify.faults(tmp_path / "one")}
    with pytest.raises(CacheError, match="of another cache"):
        reader.open_complete(tmp_path / "one")


@pytest.mark.parametrize("classes", [["a", "b", "c", "d"], ["d", "c", "b", "a"]])
def test_logits_under_other_text_are_stale_and_nothing_else_is(tmp_path, classes):
    cache = make(tmp_path / "one")
    other(tmp_path / "two", classes=classes, text=1.0)
    copy(HEAD_PATHS, tmp_path / "two", tmp_path / "one")
    named = {fault.path for fault in verify.faults(tmp_path / "one")}
    assert named == {f"logits/c/{block}/{view}/0" for block in range(3) for view in range(3)}
    with pytest.raises(CacheError, match="its logits follow from other text embeddings"):
        reader.open_any(tmp_path / "one").column("logits")
    assert cache.missing(IMAGE_ARRAYS) == []
    todo = cache.missing(("logits",))
    assert [work.first for work in todo] == [0, 0, 0]
    for work in todo:
        cache.write(work, arrays(SHAPE, work))
    assert list(verify.faults(tmp_path / "one")) == []


def test_a_cache_whose_blocks_do_not_say_where_they_are_from_is_read_and_extended(tmp_path):
    """As the first caches of format 1."""
    make(tmp_path, SHORT)
    for block in range(3):
        path = tmp_path / ledger.path_of(ledger.name_of(block))
        path.write_bytes(replace(ledger.read(tmp_path, ledger.name_of(block)), origin=None).to_bytes())
    assert list(verify.faults(tmp_path)) == []
    make(tmp_path)
    assert list(verify.faults(tmp_path)) == []
    assert [ledger.read(tmp_path, str(block)).origin for block in range(3)] == [None, None, None]


def test_new_text_drops_logits_that_do_not_say_from_which_they_follow(tmp_path):
    cache = make(tmp_path)
    path = tmp_path / ledger.path_of("1")
    path.write_bytes(replace(ledger.read(tmp_path, "1"), origin=None).to_bytes())
    cache.write_head(attributes(SHAPE, "raw"), rows(10), TEXTS, {TEXT_CHUNK: np.ones((2, 4, 5), np.float32)})
    assert [(work.block, work.first) for work in cache.missing(("logits",))] == [(0, 0), (1, 0), (2, 0)]
    assert cache.missing(IMAGE_ARRAYS) == []


def test_a_writer_keeps_nothing_of_a_block_of_another_cache(tmp_path):
    """Whoever calls it: what it writes must not make the rest of the block its own."""
    other(tmp_path / "two", drawing=1)
    cache = make(tmp_path / "one")
    copy(of_block(tmp_path / "two", 1), tmp_path / "two", tmp_path / "one")
    work = Work(1, 0, (0, 1, 2), ("logits",))
    cache.write(work, arrays(SHAPE, work))
    assert {path.split("/")[0] for path in ledger.read(tmp_path / "one", "1").files} == {"logits"}
    assert [(left.block, left.arrays) for left in cache.missing(IMAGE_ARRAYS)] == [(1, IMAGE_ARRAYS)]


def test_a_text_change_copies_no_block_of_another_cache(tmp_path):
    make(tmp_path / "one")
    other(tmp_path / "two", drawing=1)
    copy(of_block(tmp_path / "two", 1), tmp_path / "two", tmp_path / "one")
    writer.copy_image_pass(reader.open_any(tmp_path / "one"), tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new/ledger").iterdir()) == ["0.json", "2.json"]


def test_text_embedded_again_by_the_same_hands_leaves_the_logits(tmp_path):
    cache = make(tmp_path)
    text = reader.open_any(tmp_path).read_text_embeddings()
    cache.write_head(attributes(SHAPE, "raw"), rows(10), TEXTS, {TEXT_CHUNK: text})
    assert cache.missing(ALL) == []


def test_other_text_is_told_in_words(tmp_path):
    make(tmp_path / "one")
    make(tmp_path / "same")
    other(tmp_path / "two", text=1.0)
    path = tmp_path / "same" / ledger.path_of("1")
    one, same, two = (reader.open_complete(tmp_path / name) for name in ("one", "same", "two"))
    assert list(compare.sentences(one, same)) == []
    path.write_bytes(replace(ledger.read(tmp_path / "same", "1"), origin=None).to_bytes())
    assert list(compare.sentences(one, same)) == ["ledgers: they list the same files, and say other things of them"]
    assert list(compare.sentences(one, two)) == [
        "files: 1 of 45 are not the same bytes in both, first text_embeddings/c/0/0/0",
        "text embeddings: they differ by up to 1",
    ]


def test_a_reader_of_before_gets_no_logits_of_new_text(tmp_path):
    cache = make(tmp_path)
    opened = reader.open_complete(tmp_path)
    cache.write_head(attributes(SHAPE, "raw"), rows(10), TEXTS, {TEXT_CHUNK: np.ones((2, 4, 5), np.float32)})
    cache.write(work := Work(0, 0, (0, 1, 2), ("logits",)), arrays(SHAPE, work))
    with pytest.raises(CacheError, match="another cache took its place"):
        opened.column("logits")
