"""Stage one on a stranger's unfinished cache: nothing outside its folder is written, and what it may not touch is named."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from pipeline.cache import ledger, lock, reader, verify
from pipeline.cache.ledger import Entry, Ledger
from pipeline.cache.writer import copy_image_pass
from pipeline.errors import CacheError
from pipeline.stage_one import target
from tests.cache.test_cache import ALL, SHAPE, arrays, assert_whole, make
from tests.conftest import files
from tests.faults import disk, small


@pytest.fixture
def outside(tmp_path):
    """A folder beside the cache, with something in it."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/precious").write_text("precious")
    return tmp_path / "outside"


@pytest.fixture
def begun(tmp_path):
    folder = tmp_path / "set" / "cache"
    folder.parent.mkdir()
    make(folder, blocks=1)
    return folder


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("image_features/c/1/0/0.partial", "new"),
        ("image_features/c/1", "."),
        ("ledger/1.json", "precious"),
        ("ledger/1.json.staged", "precious"),
        ("pixel_probe/c/2/1/0", "new"),
    ],
)
def test_a_link_in_an_unfinished_cache_is_refused_before_anything_is_written(begun, outside, name, target):
    link = begun / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside / target)
    before = files(begun)
    with pytest.raises(CacheError, match="a link or no plain file"):
        small.build(begun)
    assert files(begun) == before
    assert files(outside) == {"precious": b"precious"}


@pytest.mark.parametrize("path", ["../../outside/precious", "logits/c/0/0/0/../0", "zarr.json", "x\0y"])
def test_a_staged_ledger_that_lists_what_it_cannot_have_decides_nothing(begun, outside, path):
    (begun.parent / "undecided").write_text("undecided")
    staged = Ledger({path: Entry(size=1, sha256="0" * 64)}, ({},))
    (begun / "ledger/1.json.staged").write_bytes(staged.to_bytes())
    shutil.copy(outside / "precious", outside / "precious.staged")
    small.build(begun)
    assert list(verify.faults(begun)) == []
    assert files(outside) == {"precious": b"precious", "precious.staged": b"precious"}


def test_an_image_pass_is_copied_from_listed_chunks_alone(tmp_path, outside):
    make(tmp_path / "set/cache")
    listed = ledger.read(tmp_path / "set/cache", "0")
    strange = Ledger({**listed.files, "../../outside/precious": Entry(size=8, sha256="0" * 64)}, listed.provenance)
    (tmp_path / "set/cache/ledger/0.json").write_bytes(strange.to_bytes())
    with pytest.raises(CacheError, match="which it cannot have"):
        copy_image_pass(reader.open_any(tmp_path / "set/cache"), tmp_path / "set/new")
    assert files(outside) == {"precious": b"precious"}


def test_folders_without_end_are_refused(begun):
    deep = begun
    for _ in range(40):
        deep = deep / "d"
    deep.mkdir(parents=True)
    with pytest.raises(CacheError, match="deeper than any of a cache"):
        target.recover(begun)
    with pytest.raises(CacheError, match="deeper than any of a cache"):
        list(verify.faults(begun))


def test_a_link_where_a_new_cache_would_be_built_is_removed_and_not_followed(begun, outside):
    """`outside` looks like a cache that nobody wants any more."""
    make(outside / "old")
    before = files(outside)
    (begun.parent / ".cache.building").symlink_to(outside / "old")
    (begun.parent / ".cache.retired").symlink_to(outside / "old")
    small.build(begun)
    assert files(outside) == before
    assert not (begun.parent / ".cache.building").is_symlink()


def test_a_cache_keeps_the_codec_chain_that_it_was_begun_with(tmp_path):
    folder = tmp_path / "set" / "cache"
    small.build(folder, chain="zstd")
    small.build(folder, count=14, views=4)
    assert reader.open_complete(folder).attributes.codec == "zstd"
    assert list(verify.faults(folder)) == []
    small.build(tmp_path / "raw" / "cache", count=14, views=4)
    for array in ("image_features", "logits", "views", "pixel_probe"):
        one, other = (reader.open_complete(f).column(array) for f in (folder, tmp_path / "raw" / "cache"))
        assert np.array_equal(one, other)


def test_rows_that_are_not_finished_are_never_read_as_zeros(tmp_path):
    """The head has the new rows before their chunks have them."""
    make(tmp_path)
    cache = make(tmp_path, replace(SHAPE, samples=12), blocks=0)
    unfinished = reader.open_any(tmp_path)
    for array in ("image_features", "logits", "views", "pixel_probe"):
        with pytest.raises(CacheError, match="2 of 4 rows are finished"):
            unfinished.column(array)
    for work in cache.missing(ALL):
        cache.write(work, arrays(cache.shape, work))
    assert_whole(tmp_path, cache.shape)
    assert np.array_equal(unfinished.column("logits"), reader.open_complete(tmp_path).column("logits"))


def test_a_lock_is_had_on_a_full_disk(tmp_path):
    if not disk.may_mount(tmp_path / "try"):
        pytest.skip("only root mounts a small disk")
    with disk.mounted(tmp_path / "full") as leave:
        (tmp_path / "full/.cache.lock").touch()
        leave(1)
        (tmp_path / "full/rest").write_bytes(bytes(disk.PAGE))
        with lock.writing(tmp_path / "full/cache"):
            assert (tmp_path / "full/.cache.lock").read_text() == ""
