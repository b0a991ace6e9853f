"""Written, extended and read back: real stores on disk."""

import json
from dataclasses import replace

import numpy as np
import pytest
import zarr

from pipeline.cache import ledger, mapping, metadata, reader, writer
from pipeline.cache.layout import IMAGE_ARRAYS, TEXT_CHUNK, VIEW_ARRAYS, Shape, chunk_path
from pipeline.cache.mapping import ColumnMap
from pipeline.cache.metadata import Attributes, read_group
from pipeline.cache.origin import Origins
from pipeline.cache.rows import Row
from pipeline.cache.writer import Work, Writer
from pipeline.errors import CacheError
from pipeline.timing.memory import unique
from tests.conftest import files

SHAPE = Shape(samples=10, views=3, classes=4, prompts=2, embedding=5, columns=11, block=4)
TEXTS = [["a", "b", "c", "d"], ["A", "B", "C", "D"]]
ALL = (*IMAGE_ARRAYS, "logits")
MADE_BY = {"torch": "1"}


def rows(count: int) -> list[Row]:
    return [Row(f"{number:064x}", 10 + number, 20) for number in range(count)]


def attributes(shape: Shape, chain: str, **more) -> Attributes:
    """The group's; `more` goes into the identity."""
    known = {"templates": ["{}", "{}!"], "classes": ["a", "b", "c", "d"], "teacher": {"embedding": shape.embedding}}
    return metadata.attributes(
        shape, chain, {**known, **more}, list("abcdefghijkl")[: shape.columns], render_size=32, logit_scale=100.0
    )


def origins(shape: Shape, **more) -> Origins:
    return Origins.of_cache(attributes(shape, "raw", **more).identity, rows(shape.samples), shape.block)


def value(name: str, row: int, view: int, width: int) -> np.ndarray:
    """A recognisable content of a row and view."""
    return (np.arange(width) + 7 * row + 31 * view + len(name)) % 251


def arrays(shape: Shape, work: Work) -> dict[str, np.ndarray]:
    span = range(work.block * shape.block + work.first, work.block * shape.block + shape.rows(work.block))
    return {
        name: np.array([[value(name, row, view, spec.width(shape)) for view in work.views] for row in span], spec.dtype)
        for name, spec in VIEW_ARRAYS.items()
        if name in work.arrays
    }


def make(folder, shape=SHAPE, chain="raw", blocks=None) -> Writer:
    cache = Writer(folder, shape, chain, origins(shape), MADE_BY)
    text = np.arange(40, dtype=np.float32).reshape(2, 4, 5)
    cache.write_head(attributes(shape, chain), rows(shape.samples), TEXTS, {TEXT_CHUNK: text})
    for work in cache.missing(ALL)[:blocks]:
        cache.write(work, arrays(shape, work))
    return cache


def assert_whole(folder, shape=SHAPE) -> None:
    cache = reader.open_complete(folder)
    for name, spec in VIEW_ARRAYS.items():
        column = cache.column(name)
        assert column.dtype == spec.dtype
        for row in range(shape.samples):
            for view in range(shape.views):
                assert (column[row, view] == value(name, row, view, spec.width(shape)).astype(spec.dtype)).all()


@pytest.mark.parametrize("chain", ["raw", "zstd"])
def test_what_is_written_is_read_by_us_and_by_zarr(tmp_path, chain):
    make(tmp_path, chain=chain)
    assert_whole(tmp_path)
    group, cache = zarr.open_group(tmp_path, mode="r"), reader.open_complete(tmp_path)
    at, views = np.indices((SHAPE.samples, SHAPE.views))
    for name in VIEW_ARRAYS:
        assert (group[name][:] == cache.column(name)).all()
        rows = cache.rows_of(name)
        assert (rows[at, views] == cache.column(name)).all()
        assert (rows[at[:, 0], 1] == cache.column(name)[:, 1]).all()
    text = cache.read_text_embeddings()
    assert (group["text_embeddings"][:] == text).all()
    assert text.shape == (2, 4, 5)


def test_rows_of_a_raw_cache_are_checked_and_then_lie_on_the_disk_alone(tmp_path):
    """64 MB of logits: what is read takes the memory of its own pages."""
    shape = Shape(samples=16384, views=4, classes=500, prompts=1, embedding=5, columns=11, block=1024)
    identity = {"templates": ["{}"], "classes": [str(n) for n in range(500)]}
    cache = Writer(tmp_path, shape, "raw", origins(shape, **identity), MADE_BY)
    cache.write_head(
        attributes(shape, "raw", **identity),
        rows(shape.samples),
        [identity["classes"]],
        {TEXT_CHUNK: np.ones((1, 500, 5), np.float32)},
    )
    for work in cache.missing(ALL):
        count = shape.rows(work.block)
        cache.write(
            work, {n: np.ones((count, 4, VIEW_ARRAYS[n].width(shape)), VIEW_ARRAYS[n].dtype) for n in work.arrays}
        )
    opened, before = reader.open_complete(tmp_path), unique()
    logits = opened.rows_of("logits")
    assert unique() - before < 30e6
    assert (logits[np.array([0, 16383]), np.array([3, 0])] == 1).all()


def test_a_column_larger_than_any_memory_has_room_for_its_maps():
    shape = Shape(1 << 27, views=4, classes=1024, prompts=1, embedding=5, columns=11, block=1 << 16)
    mapped = ColumnMap(VIEW_ARRAYS["logits"], shape).column()
    assert mapped.chunks.nbytes == 1 << 40


def test_where_files_cannot_be_mapped_a_column_is_held_in_memory(tmp_path, monkeypatch):
    make(tmp_path)
    monkeypatch.setattr(mapping, "_map", lambda *_: None)
    cache = reader.open_complete(tmp_path)
    assert (cache.rows_of("logits") == cache.column("logits")).all()


@pytest.mark.parametrize("damage", [lambda data: data[:-9] + bytes(9), lambda data: data[:-1], lambda data: data[:0]])
def test_rows_of_a_damaged_chunk_are_refused(tmp_path, damage):
    make(tmp_path)
    chunk = tmp_path / chunk_path("logits", 1, 2)
    chunk.write_bytes(damage(chunk.read_bytes()))
    with pytest.raises(CacheError, match="logits/c/1/2/0"):
        reader.open_complete(tmp_path).rows_of("logits")


@pytest.mark.parametrize("columns", [1, 12])
def test_views_of_more_or_fewer_numbers_are_no_other_format(tmp_path, columns):
    shape = replace(SHAPE, columns=columns)
    make(tmp_path / "cache", shape)
    assert reader.open_complete(tmp_path / "cache").shape == shape
    assert_whole(tmp_path / "cache", shape)


def test_no_file_of_a_cache_is_left_half_written_or_unnamed(tmp_path):
    make(tmp_path)
    named = {path for name in ("head", "0", "1", "2") for path in ledger.read(tmp_path, name).files}
    assert set(files(tmp_path)) - {f"ledger/{name}.json" for name in ("head", "0", "1", "2")} == named


def test_a_row_is_one_rows_bytes_away_as_raw_chunks_start_with_their_data(tmp_path):
    make(tmp_path)
    path = tmp_path / chunk_path("image_features", 1, 2)
    assert path.stat().st_size == 4 * 5 * 2 + 4
    mapped = np.memmap(path, "<f2", "r", shape=(4, 5))
    assert (mapped[3] == value("image_features", 7, 2, 5)).all()


def test_an_unfinished_cache_names_how_much_is_missing_and_goes_on_by_blocks(tmp_path):
    cache = make(tmp_path, blocks=1)
    with pytest.raises(CacheError, match="2 of 3 blocks are not finished; run `scmd teacher`"):
        reader.open_complete(tmp_path)
    todo = cache.missing(ALL)
    assert [(work.block, work.first, work.views) for work in todo] == [(1, 0, (0, 1, 2)), (2, 0, (0, 1, 2))]
    for work in todo:
        cache.write(work, arrays(SHAPE, work))
    make(tmp_path / "whole")
    assert {k: v for k, v in files(tmp_path).items() if not k.startswith("whole")} == files(tmp_path / "whole")


def test_more_views_are_new_files_beside_untouched_ones(tmp_path):
    make(tmp_path)
    before = files(tmp_path)
    wide = replace(SHAPE, views=5)
    cache = make(tmp_path, wide, blocks=0)
    assert [work.views for work in cache.missing(ALL)] == [(3, 4)] * 3
    for work in cache.missing(ALL):
        cache.write(work, arrays(wide, work))
    assert_whole(tmp_path, wide)
    chunks = [path for path in before if "/c/" in path]
    assert len(chunks) > 30
    assert all(files(tmp_path)[path] == before[path] for path in chunks)


def test_more_images_fill_the_last_block_and_then_begin_new_ones(tmp_path):
    make(tmp_path)
    before = files(tmp_path)
    longer = replace(SHAPE, samples=14)
    cache = make(tmp_path, longer, blocks=0)
    todo = cache.missing(ALL)
    assert [(work.block, work.first) for work in todo] == [(2, 2), (3, 0)]
    for work in todo:
        cache.write(work, arrays(longer, work))
    assert_whole(tmp_path, longer)
    assert files(tmp_path)[chunk_path("logits", 1, 0)] == before[chunk_path("logits", 1, 0)]


@pytest.mark.parametrize("harm", ["flip", "cut", "gone", "swapped"])
def test_a_harmed_chunk_is_refused_by_name(tmp_path, harm):
    make(tmp_path)
    path = tmp_path / chunk_path("logits", 1, 2)
    data = bytearray(path.read_bytes())
    if harm == "gone":
        path.unlink()
    else:
        data[3] ^= 1
        other = (tmp_path / chunk_path("logits", 0, 2)).read_bytes()
        path.write_bytes({"flip": bytes(data), "cut": bytes(data[:-7]), "swapped": other}[harm])
    with pytest.raises(CacheError, match="logits/c/1/2/0"):
        reader.open_complete(tmp_path).column("logits")


def test_a_damaged_ledger_is_refused_by_name(tmp_path):
    make(tmp_path)
    path = tmp_path / ledger.path_of("1")
    path.write_text(path.read_text().replace('"rows":4', '"rows":3', 1))
    with pytest.raises(CacheError, match=r"ledger/1\.json: this ledger is damaged"):
        reader.open_complete(tmp_path)


def test_a_chunk_that_no_ledger_names_does_not_count(tmp_path):
    cache = make(tmp_path)
    (tmp_path / ledger.path_of("2")).unlink()
    assert [work.block for work in cache.missing(("logits",))] == [2]


def test_another_format_is_refused_by_name():
    later = json.dumps({"attributes": {"scmd": {"format": 2}}}).encode()
    with pytest.raises(CacheError, match="of format 2; this version reads format 1"):
        read_group(later, "here")


def test_metadata_that_the_ledger_does_not_know_is_refused(tmp_path):
    make(tmp_path)
    path = tmp_path / "zarr.json"
    path.write_text(path.read_text().replace('"views": 3', '"views": 2'))
    with pytest.raises(CacheError, match="not the file that the ledger lists"):
        reader.open_any(tmp_path)


def test_equal_caches_have_equal_content_digests(tmp_path):
    for name in ("one", "two"):
        make(tmp_path / name)
    digests = [reader.open_complete(tmp_path / name).content_digest() for name in ("one", "two")]
    assert digests[0] == digests[1]
    make(tmp_path / "three", replace(SHAPE, samples=9))
    assert reader.open_complete(tmp_path / "three").content_digest() != digests[0]


def test_a_copy_without_logits_keeps_the_image_pass(tmp_path):
    make(tmp_path / "old")
    writer.copy_image_pass(reader.open_any(tmp_path / "old"), tmp_path / "new")
    cache = Writer(tmp_path / "new", SHAPE, "raw", origins(SHAPE), MADE_BY)
    assert cache.missing(IMAGE_ARRAYS) == []
    assert len(cache.missing(("logits",))) == 3


def test_no_write_leaves_a_partial_file_when_the_disk_refuses(tmp_path):
    (tmp_path / "logits").write_text("a file where a folder should be")
    with pytest.raises(CacheError, match=r"logits/zarr\.json: [\d,]+ bytes cannot be written"):
        make(tmp_path)
    assert not list(tmp_path.rglob("*.partial"))
