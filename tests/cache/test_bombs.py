"""Files that are small on disk and want to be large in memory, or endless: refused within the declared size, and soon."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from numcodecs import Zstd
from numcodecs.checksum32 import CRC32C

from pipeline.cache import metadata
from pipeline.cache.documents import LIMIT
from pipeline.cache.layout import TEXT_CHUNK, Shape, chunk_path
from tests.cache.test_cache import SHAPE, attributes, make
from tests.cache.test_hostile import enlist, parquet, sign
from tests.conftest import ENVIRONMENT

MEGABYTES = 64
# Of processor time, beside what hashing takes of what a file says it has, at a rate that any machine reaches.
SECONDS = 2
HASHED_MB_A_SECOND = 100
CHUNK = chunk_path("logits", 0, 0)
MAGIC = bytes.fromhex("28b52ffd")


def zeros(count: int) -> bytes:
    return bytes(Zstd(level=3).encode(bytes(count)))


def streamed(count: int) -> bytes:
    """A zstd frame that does not say how large its content is."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        for _ in range(count >> 20):
            stream.write(bytes(1 << 20))
    return sink.getvalue().to_pybytes()


def keys(count: int, last: bytes = b"") -> bytes:
    """An object of so many keys."""
    return b"{" + b",".join(b'"%x":1' % number for number in range(count)) + last + b"}"


MANY = 1 << 20
SAME = {"id": ["0" * 64] * MANY, "width": [1] * MANY, "height": [1] * MANY}
FEW = {"id": [f"{number:064x}" for number in range(10)], "width": [1] * 10, "height": [1] * 10}
NULLS = {"id": pa.nulls(MANY, pa.string()), "width": pa.nulls(MANY, pa.int64()), "height": pa.nulls(MANY, pa.int64())}

CHUNKS: dict[str, Callable[[], bytes]] = {
    **{f"zstd of 2^{power} zeros": lambda power=power: zeros(1 << power) for power in (10, 16, 20, 24, 28, 29)},
    "zstd without its size": lambda: streamed(1 << 28),
    "zstd in zstd": lambda: bytes(Zstd(level=3).encode(zeros(1 << 28))),
    "a frame behind the chunk's": lambda: zeros(32) + zeros(1 << 28),
    "zstd that says 2^60": lambda: MAGIC + b"\xe0" + (1 << 60).to_bytes(8, "little") + b"\x03\x00\x00\x00",
    "zstd with the widest window": lambda: MAGIC + b"\x00\xff" + b"\x03\x00\x00\x00",
    "zstd that says 32 and has more": lambda: (
        MAGIC + b"\x20\x20" + ((1 << 20 | 1) << 1 | 1).to_bytes(3, "little") + b"0"
    ),
    "a skippable frame before it": lambda: bytes.fromhex("502a4d18") + (1 << 24).to_bytes(4, "little") + bytes(1 << 24),
}
DOCUMENTS: dict[str, Callable[[], bytes]] = {
    "JSON of empty objects": lambda: b'{"a":[' + b"{}," * 1_300_000 + b"0]}",
    "JSON of empty lists": lambda: b'{"a":[' + b"[]," * 1_300_000 + b"0]}",
    "JSON of numbers": lambda: b'{"a":[' + b"12345," * 690_000 + b"0]}",
    "JSON of fractions": lambda: b'{"a":[' + b"1.5e9," * 690_000 + b"0]}",
    "JSON of words": lambda: b'{"a":[' + b'"xyz",' * 690_000 + b"0]}",
    "JSON of keys": lambda: keys(380_000),
    "JSON nested without end": lambda: b"[" * (LIMIT - 1),
    "JSON objects in objects": lambda: b'{"a":' * 800_000,
    "JSON with a key twice": lambda: keys(130_000, last=b',"1":2'),
    "JSON with a giant number": lambda: b'{"a":' + b"9" * (LIMIT - 10) + b"}",
    "JSON with a giant text": lambda: b'{"a":"' + b"\\u20ac" * 690_000 + b'"}',
}
TABLES: dict[str, Callable[[], bytes]] = {
    "Parquet with a dictionary": lambda: parquet(pa.table(SAME), use_dictionary=True),
    "Parquet, zstd": lambda: parquet(pa.table(SAME), compression="zstd"),
    "Parquet, gzip": lambda: parquet(pa.table(SAME), compression="gzip"),
    "Parquet of nulls": lambda: parquet(pa.table(NULLS)),
    "Parquet of row groups": lambda: parquet(pa.table(SAME).slice(0, 4000), row_group_size=1),
    "Parquet of columns": lambda: parquet(pa.table({f"c{number}": [1] for number in range(20_000)})),
    "Parquet of notes": lambda: parquet_with_notes(),
    "Parquet of deltas": lambda: parquet(pa.table(SAME), column_encoding={"width": "DELTA_BINARY_PACKED"}),
    "Parquet that calls a dictionary plain": lambda: parquet_that_lies(),
    "Parquet of one giant id": lambda: parquet(pa.table({**FEW, "id": ["0" * (1 << 24), *FEW["id"][1:]]})),
}
SPARSE = ["zarr.json", "logits/zarr.json", "rows.parquet", "prompts.parquet", TEXT_CHUNK, CHUNK]
LEDGERS = ["ledger/head.json", "ledger/0.json"]


def parquet_with_notes() -> bytes:
    notes = {f"k{number}": "x" * 1000 for number in range(20_000)}
    return parquet(pa.table(FEW).replace_schema_metadata(notes), store_schema=True)


def parquet_that_lies() -> bytes:
    """20,000 times one text of 50 KB; the footer lists the encoding of its pages as PLAIN."""
    ids = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array(["0" * 50_000]))
    columns = {"id": ids, "width": [1] * 20_000, "height": [1] * 20_000}
    options = {"use_dictionary": ["id"], "dictionary_pagesize_limit": 1 << 28, "write_statistics": False}
    data = parquet(pa.table(columns), **options)
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    honest, lie = bytes([0x35, 0, 0x06, 0x10]), bytes([0x35, 0, 0x06, 0])
    assert data[footer:].count(honest) == 1
    return data[:footer] + data[footer:].replace(honest, lie)


def declare(folder: Path, shape: Shape, **identity) -> None:
    """Metadata of another shape, signed, over the chunks of a small cache."""
    known = metadata.attributes(shape, "raw", {**attributes(shape, "raw").identity, **identity}, ["left"], 32, 100.0)
    for path, data in metadata.written(shape, "raw", known).items():
        put(folder, path, data)


def test_more_prompts_than_rows(tmp_path):
    """Templates × classes are 20 million, and `prompts.parquet` has eight rows."""
    make(tmp_path)
    names = {"templates": [f"{n} {{}}" for n in range(1000)], "classes": [f"c{n}" for n in range(20_000)]}
    declare(tmp_path, replace(SHAPE, prompts=1000, classes=20_000), **names)
    assert_refused(tmp_path)


def test_more_chunks_than_anyone_looks_at(tmp_path):
    make(tmp_path)
    declare(tmp_path, replace(SHAPE, block=1, views=1 << 16))
    assert_refused(tmp_path)


def put(folder: Path, path: str, data: bytes) -> None:
    (folder / path).write_bytes(data)
    sign(folder, path)


def sparse(folder: Path, path: str, size: int) -> None:
    with (folder / path).open("r+b") as stream:
        stream.truncate(size)


# Opens and reads, then verifies; tells the peak of memory that this took, the time, and the reasons.
READER = """
import re, sys, time
from pathlib import Path
from pipeline.cache import reader, verify
from pipeline.cache.layout import VIEW_ARRAYS
from pipeline.errors import CacheError
folder = Path(sys.argv[1])
# Not getrusage, which also counts what this process was before it became this one.
peak = lambda: int(re.search("VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10
before, started = peak(), time.process_time()
try:
    cache = reader.open_complete(folder)
    cache.read_text_embeddings()
    [cache.column(array) for array in VIEW_ARRAYS]
    print("read without a word")
except CacheError as error:
    print(f"refused in {time.process_time() - started:.3f} s with {peak() - before} MB: {error}")
started = time.process_time()
found = [str(fault) for fault in verify.faults(folder)]
print(f"named in {time.process_time() - started:.3f} s with {peak() - before} MB: {found}")
"""


def assert_refused(folder: Path, declared: int = 0) -> None:
    """`declared`: the size in bytes of what the cache says it has."""
    done = subprocess.run(
        [sys.executable, "-c", READER, str(folder)], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    read, verified = done.stdout.splitlines()
    assert read.startswith("refused in"), read
    assert verified.startswith("named in"), verified
    assert not verified.endswith(": []")
    for said in (read, verified):
        words = said.split()
        assert float(words[2]) < SECONDS + (declared >> 20) / HASHED_MB_A_SECOND, said
        assert int(words[5]) <= MEGABYTES + (declared >> 20), said


@pytest.mark.parametrize("name", CHUNKS)
def test_a_chunk(tmp_path, name):
    make(tmp_path, chain="zstd")
    put(tmp_path, CHUNK, bytes(CRC32C(location="end").encode(CHUNKS[name]())))
    assert_refused(tmp_path)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document(tmp_path, name):
    make(tmp_path)
    put(tmp_path, "zarr.json", DOCUMENTS[name]())
    assert_refused(tmp_path)
    (tmp_path / "again").mkdir()
    make(tmp_path / "again")
    (tmp_path / "again/ledger/0.json").write_bytes(DOCUMENTS[name]())
    assert_refused(tmp_path / "again")


@pytest.mark.parametrize("name", TABLES)
def test_a_table(tmp_path, name):
    make(tmp_path)
    data = TABLES[name]()
    put(tmp_path, "rows.parquet", data)
    assert_refused(tmp_path, len(data))


@pytest.mark.parametrize("path", SPARSE + LEDGERS)
def test_a_file_with_a_hole_of_a_terabyte(tmp_path, path):
    make(tmp_path)
    sparse(tmp_path, path, 1 << 40)
    assert_refused(tmp_path)


@pytest.mark.parametrize("size", [1 << 28, 1 << 40])
@pytest.mark.parametrize("path", SPARSE)
def test_a_hole_that_its_ledger_lists(tmp_path, path, size):
    make(tmp_path)
    enlist(tmp_path, path, size, "0" * 64)
    sparse(tmp_path, path, size)
    assert_refused(tmp_path, size if path.endswith(".parquet") and size < 1 << 30 else 0)
