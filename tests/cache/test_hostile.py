"""A cache from a stranger: whatever it holds, it is read as format 1 or refused by name, within its declared size."""

import io
import json
import os
import shutil
import socket
import stat
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numcodecs.checksum32 import CRC32C

from pipeline.cache import ledger, reader, verify
from pipeline.cache.files import sha256
from pipeline.cache.layout import chunk_path
from pipeline.cache.ledger import HEAD, Entry, Ledger
from pipeline.errors import CacheError
from tests.cache.test_cache import ALL, SHAPE, arrays, assert_whole, make
from tests.conftest import files


def sign(folder, path: str) -> None:
    """Makes the ledger agree with a file, as an author who means harm would."""
    data = (folder / path).read_bytes()
    enlist(folder, path, len(data), sha256(data))


def enlist(folder, path: str, size: int, digest: str) -> None:
    """Makes the ledger say this of a file."""
    name = HEAD if "/c/" not in path or path.startswith("text") else path.split("/")[2]
    listed = ledger.read(folder, name)
    signed = replace(listed, files={**listed.files, path: Entry(size=size, sha256=digest, rows=listed.rows_of(path))})
    (folder / ledger.path_of(name)).write_bytes(signed.to_bytes())


def read_all(folder) -> None:
    cache = reader.open_complete(folder)
    cache.read_text_embeddings()
    for array in ("image_features", "logits", "pixel_probe", "views"):
        cache.column(array)


def change_json(folder, path: str, change) -> None:
    document = json.loads((folder / path).read_text())
    change(document)
    (folder / path).write_text(json.dumps(document))
    sign(folder, path)


def at(*keys, value):
    def change(document):
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return change


SCMD = ("attributes", "scmd")
DOCUMENTS = {
    "shape 2^50": ("logits/zarr.json", at("shape", value=[2**50, 3, 4]), "shape is"),
    "negative shape": ("logits/zarr.json", at("shape", value=[-1, 3, 4]), "shape is"),
    "chunk 0": ("logits/zarr.json", at("chunk_grid", "configuration", "chunk_shape", value=[0, 1, 4]), "chunk_grid"),
    "object dtype": ("logits/zarr.json", at("data_type", value="object"), "data_type"),
    "extension dtype": ("logits/zarr.json", at("data_type", value={"name": "pickle"}), "data_type"),
    "unknown codec": ("logits/zarr.json", at("codecs", value=[{"name": "pickle"}]), "codecs"),
    "sharding": ("logits/zarr.json", at("codecs", value=[{"name": "sharding_indexed"}]), "codecs"),
    "zarr v2": ("logits/zarr.json", at("zarr_format", value=2), "zarr_format"),
    "a group of v2": ("zarr.json", at("zarr_format", value=2), "zarr_format"),
    "an unknown key": ("zarr.json", at("consolidated_metadata", value={}), "consolidated_metadata"),
    "views 2^40": ("zarr.json", at(*SCMD, "views", value=2**40), "`views`"),
    "block 0": ("zarr.json", at(*SCMD, "block", value=0), "`block`"),
    "text for a number": ("zarr.json", at(*SCMD, "views", value="3"), "`views`"),
    "another codec": ("zarr.json", at(*SCMD, "codec", value="blosc"), "`codec`"),
    "another identity": ("zarr.json", at(*SCMD, "identity", "classes", value=["x"] * 4), "identity_digest"),
    "format 2": ("zarr.json", at(*SCMD, "format", value=2), "format 2; this version reads format 1"),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_metadata_that_format_1_has_not_is_refused_by_its_field(tmp_path, name):
    path, change, what = DOCUMENTS[name]
    make(tmp_path)
    change_json(tmp_path, path, change)
    with pytest.raises(CacheError, match=what):
        read_all(tmp_path)
    assert any(what in str(fault) for fault in verify.faults(tmp_path))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"a": 1, "a": 2}', "stands twice"),
        ('{"a": NaN}', "NaN is no number"),
        ("[" * 100_000, "not the JSON"),
        ('{"a": ' + "9" * 5000 + "}", "not the JSON"),
        ("[]", "an object is expected"),
        ("", "not the JSON"),
    ],
)
def test_json_that_is_none_is_refused(tmp_path, text, what):
    make(tmp_path)
    (tmp_path / "zarr.json").write_text(text)
    sign(tmp_path, "zarr.json")
    with pytest.raises(CacheError, match=what):
        read_all(tmp_path)


@pytest.mark.parametrize("path", ["zarr.json", "ledger/0.json"])
def test_text_that_is_no_unicode_is_refused(tmp_path, path):
    make(tmp_path)
    whole = (tmp_path / path).read_bytes()
    (tmp_path / path).write_bytes(whole.replace(b'"torch":"1"', b'"torch":"\\ud800"').replace(b'"{}!"', b'"{}\\ud800"'))
    assert (tmp_path / path).read_bytes() != whole
    if path == "zarr.json":
        sign(tmp_path, path)
    with pytest.raises(CacheError, match=r"[Uu]nicode|this ledger is damaged"):
        read_all(tmp_path)
    assert list(verify.faults(tmp_path))


def test_a_giant_ledger_is_refused_by_its_size(tmp_path):
    make(tmp_path)
    with (tmp_path / "ledger/0.json").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(CacheError, match="where at most"):
        read_all(tmp_path)


@pytest.mark.parametrize(
    "path",
    [
        "../outside",
        "/etc/passwd",
        "logits/c/0/../0/0",
        "logits/c/00/0/0",
        "Logits/c/0/0/0",
        f"logits/c/{'1' * 5000}/0/0",
    ],
)
def test_a_ledger_may_not_list_what_lies_elsewhere(tmp_path, path):
    make(tmp_path)
    listed = ledger.read(tmp_path, "0")
    strange = Ledger({**listed.files, path: Entry(size=1, sha256="0" * 64)}, listed.provenance)
    (tmp_path / "ledger/0.json").write_bytes(strange.to_bytes())
    with pytest.raises(CacheError, match="which it cannot have"):
        read_all(tmp_path)


FILES = ["zarr.json", "logits/zarr.json", "rows.parquet", "ledger/0.json", chunk_path("logits", 0, 1)]


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize(
    "form", ["link", "link to nothing", "link to itself", "linked folder", "pipe", "socket", "device", "folder"]
)
def test_links_pipes_and_folders_are_refused_unread(tmp_path, path, form):
    folder = tmp_path / "cache"
    make(folder)
    target = folder / path
    if form == "linked folder":
        if target.parent == folder:
            pytest.skip("the cache's own folder may be a link")
        target.parent.rename(tmp_path / "elsewhere")
        target.parent.symlink_to(tmp_path / "elsewhere")
    else:
        target.rename(tmp_path / "elsewhere")
        make_other = {
            "link": lambda: target.symlink_to(tmp_path / "elsewhere"),
            "link to nothing": lambda: target.symlink_to(tmp_path / "nowhere"),
            "link to itself": lambda: target.symlink_to(target),
            "pipe": lambda: os.mkfifo(target),
            "socket": lambda: socket.socket(socket.AF_UNIX).bind(os.path.relpath(target)),
            "device": lambda: os.mknod(target, stat.S_IFCHR | 0o666, os.makedev(1, 5)),
            "folder": target.mkdir,
        }
        try:
            make_other[form]()
        except PermissionError:
            pytest.skip("only root makes devices")
    with pytest.raises(CacheError, match="a link or no plain file"):
        read_all(folder)


def test_a_hard_link_is_read_and_never_written_through(tmp_path):
    """As DVC makes them, from a cache that a team shares."""
    make(tmp_path / "cache")
    before = files(tmp_path / "cache")
    for path in before:
        shared = tmp_path / "shared" / path
        shared.parent.mkdir(parents=True, exist_ok=True)
        shared.hardlink_to(tmp_path / "cache" / path)
    read_all(tmp_path / "cache")
    wide = replace(SHAPE, samples=14, views=5)
    cache = make(tmp_path / "cache", wide, blocks=0)
    for work in cache.missing(ALL):
        cache.write(work, arrays(wide, work))
    assert_whole(tmp_path / "cache", wide)
    assert files(tmp_path / "shared") == before


def test_names_that_differ_in_case_alone_are_named(tmp_path):
    make(tmp_path)
    shutil.copytree(tmp_path / "logits", tmp_path / "Logits")
    named = {fault.path for fault in verify.faults(tmp_path)}
    assert named == {path for path in files(tmp_path) if path.startswith("Logits/")}


@pytest.mark.parametrize("chain", ["raw", "zstd"])
@pytest.mark.parametrize("bits", [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x3C00])
def test_any_finite_bits_come_back(tmp_path, chain, bits):
    """Zeros of both signs, denormal, smallest, largest and plain numbers; a chunk of zeros is a file like any other."""
    cache = make(tmp_path, chain=chain, blocks=0)
    for work in cache.missing(ALL):
        made = arrays(SHAPE, work)
        cache.write(
            work, {**made, "image_features": np.full(made["image_features"].shape, bits, np.uint16).view(np.float16)}
        )
    assert (reader.open_complete(tmp_path).column("image_features").view(np.uint16) == bits).all()


@pytest.mark.parametrize("array", ["image_features", "logits"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused_with_their_row(tmp_path, value, array):
    make(tmp_path)
    path = tmp_path / chunk_path(array, 0, 1)
    data = np.frombuffer(path.read_bytes()[:-4], "<f2").copy()
    data[7] = value
    path.write_bytes(bytes(CRC32C(location="end").encode(data.tobytes())))
    sign(tmp_path, chunk_path(array, 0, 1))
    with pytest.raises(CacheError, match="row 1 holds NaN or infinity"):
        read_all(tmp_path)


def parquet(table: pa.Table, **options) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **{"compression": "none", "use_dictionary": False, "store_schema": False, **options})
    return buffer.getvalue()


IDS = [f"{number:064x}" for number in range(10)]
GOOD = {"id": IDS, "width": [10] * 10, "height": [20] * 10}
TABLES = {
    "compressed": (GOOD, {"compression": "zstd"}, "compresses no Parquet column"),
    "a dictionary": (GOOD, {"use_dictionary": True}, "compresses no Parquet column"),
    "a stored schema": (GOOD, {"store_schema": True}, "key-value metadata"),
    "another column": ({**GOOD, "path": IDS}, {}, "its columns are"),
    "a missing column": ({"id": IDS, "width": [1] * 10}, {}, "its columns are"),
    "text for a width": ({**GOOD, "width": IDS}, {}, "is not plain"),
    "an id twice": ({**GOOD, "id": [IDS[0], *IDS[:9]]}, {}, "an id stands twice"),
    "no id": ({**GOOD, "id": ["../x", *IDS[1:]]}, {}, "row 0 is no image's id"),
    "a null": ({**GOOD, "width": [None, *[1] * 9]}, {}, "row 0 is no image's id"),
    "a negative side": ({**GOOD, "height": [-1, *[1] * 9]}, {}, "row 0 is no image's id"),
    "no row": (
        {"id": pa.array([], pa.string()), "width": pa.array([], pa.int64()), "height": pa.array([], pa.int64())},
        {},
        "no row",
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_rows_table_of_another_kind_is_refused(tmp_path, name):
    columns, options, what = TABLES[name]
    make(tmp_path)
    (tmp_path / "rows.parquet").write_bytes(parquet(pa.table(columns), **options))
    sign(tmp_path, "rows.parquet")
    with pytest.raises(CacheError, match=what):
        read_all(tmp_path)
