"""What strangers' files can do at the borders: EXIF, Parquet, YAML, weights. A named error, or the file is read; nothing else."""

import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from safetensors.torch import save

from pipeline import config, weights
from pipeline.errors import InputError, ScmdError
from pipeline.experiment.schema import Experiment
from pipeline.samples import parquet
from pipeline.samples.images import UnreadableError, decode
from pipeline.samples.parquet import Columns, ParquetImages
from tests import backbones
from tests.faults.scenes import Verdict

# What YAML reads as more than a letter.
_SIGNS = list(b"[]{}:,-?&*!|>'\"%@`#\n\t 0189.eE~nx\\\xff")
SOUND = Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8))


def judged(what: str, work: Callable[[], object], *allowed: type[Exception]) -> Verdict:
    """None where it ends, or ends with what is allowed, in one line."""
    try:
        work()
    except allowed as error:
        return f"{what}: several lines" if "\n" in str(error) else None
    except Exception as error:
        return f"{what}: {type(error).__name__}: {error}"
    return None


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """Bytes changed, cut, doubled or moved, as disks, networks and enemies do."""
    changed = bytearray(data)
    for _ in range(random.integers(1, 9)):
        at = int(random.integers(len(changed)))
        kind = random.integers(5)
        if kind == 0:
            changed[at] = random.integers(256)
        elif kind == 1:
            changed[at : at + 4] = struct.pack("<I", int(random.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1])))
        elif kind == 2 and len(changed) > 64:
            del changed[at : at + int(random.integers(1, 32))]
        elif kind == 3:
            changed[at:at] = random.bytes(int(random.integers(1, 32)))
        else:
            other = int(random.integers(len(changed)))
            changed[at : at + 8] = changed[other : other + 8]
    return bytes(changed)


def exif(count: int, random: np.random.Generator) -> Iterator[Verdict]:
    """Blocks of EXIF on sound pictures: entries of every type, counts and offsets that lead nowhere. The picture is kept."""
    for number in range(count):
        entries = b""
        many = int(random.integers(0, 6))
        for _ in range(many):
            tag = int(random.choice([0x0112, 0x011A, 0x0128, 0x8769, 0x9204, 0xA005, int(random.integers(1 << 16))]))
            value = int(random.choice([0, 8, 26, 40, int(random.integers(1 << 32))]))
            entries += struct.pack("<HHII", tag, int(random.integers(0, 15)), int(random.integers(0, 9)), value)
        block = (
            b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", many) + entries + random.bytes(int(random.integers(0, 80)))
        )
        if number % 3 == 0:
            block = b"Exif\0\0" + mutated(block[6:], random)
        buffer = io.BytesIO()
        SOUND.save(buffer, str(random.choice(["JPEG", "PNG", "WEBP"])), exif=block)
        data = buffer.getvalue()
        yield judged(f"EXIF {block!r}", lambda data=data: decode(data, exif=True))


def pictures(count: int, random: np.random.Generator) -> Iterator[Verdict]:
    """Image files of every format, mutated."""
    formats = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF", "GIF", "AVIF")
    whole = {}
    for name in formats:
        buffer = io.BytesIO()
        SOUND.save(buffer, name)
        whole[name] = buffer.getvalue()
    for number in range(count):
        name = formats[number % len(formats)]
        data = mutated(whole[name], random)
        yield judged(f"{name} {number}", lambda data=data: decode(data, exif=True), UnreadableError)


def tables(room: Path, count: int, random: np.random.Generator) -> Iterator[Verdict]:
    """Parquet files, mutated, scanned and read row by row."""
    rows = 12
    table = pa.table(
        {
            "image": [{"bytes": random.bytes(50), "path": None} for _ in range(rows)],
            "domain": ["art", "ink", "neon"] * 4,
            "label": pa.array(["cat", "dog"] * 6).dictionary_encode(),
        }
    )
    pq.write_table(table, room / "whole.parquet", row_group_size=5)
    whole = (room / "whole.parquet").read_bytes()
    (room / "data").mkdir()
    file = room / "data/a.parquet"

    def read() -> None:
        found = parquet.scan(room / "data", Columns(), None, None)
        images = ParquetImages(room / "data", "image.bytes")
        for place in found:
            images.read(place.key)

    for number in range(count):
        file.write_bytes(mutated(whole, random))
        yield judged(f"Parquet {number}", read, InputError, OSError)


def weight_files(room: Path, count: int, random: np.random.Generator) -> Iterator[Verdict]:
    """Files of weights, mutated."""
    tensors = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.ones(2)}
    buffers = [io.BytesIO(), io.BytesIO()]
    torch.save(tensors, buffers[0])
    torch.save(tensors, buffers[1], _use_new_zipfile_serialization=False)
    wholes = [save(tensors), *(buffer.getvalue() for buffer in buffers)]
    file = room / "weights"
    for number in range(count):
        file.write_bytes(mutated(wholes[number % 3], random))
        yield judged(f"weights {number}", lambda: weights.read(file), InputError)


def configurations(room: Path, count: int, random: np.random.Generator) -> Iterator[Verdict]:
    """The shipped experiment, its characters changed."""
    whole = Path("configs/experiment.yaml").read_bytes()
    file = room / "experiment.yaml"
    for number in range(count):
        data = bytearray(whole)
        for _ in range(random.integers(1, 6)):
            at = int(random.integers(len(data)))
            data[at : at + int(random.integers(0, 3))] = bytes(random.choice(_SIGNS, 2).tolist())
        file.write_bytes(data)
        yield judged(f"YAML {number}: {bytes(data)!r}", lambda: config.load(file, Experiment), ScmdError)


def wide(room: Path) -> Iterator[Verdict]:
    """A row group of more than 2 GiB of pictures, as tools write by default; nested and flat."""
    rows, side = 186, 2000
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (9, 8, 7)).save(buffer, "BMP")
    data = buffer.getvalue()
    (room / "data").mkdir()
    for name, kind in (("image.bytes", pa.struct([("bytes", pa.large_binary())])), ("image", pa.large_binary())):
        images = [{"bytes": data} if "." in name else data] * rows
        table = pa.table({"image": pa.array(images, kind), "domain": ["art", "ink"] * 93, "label": ["cat", "dog"] * 93})
        options = {"compression": "zstd", "store_schema": False, "use_dictionary": False, "write_batch_size": 4}
        pq.write_table(table, room / "data/all.parquet", **options)
        del table, images

        def read(name: str = name) -> None:
            found = parquet.scan(room / "data", Columns(image=name), None, None)
            source = ParquetImages(room / "data", name)
            assert len(found) == rows
            assert source.read(found[0].key) == source.read(found[-1].key) == data

        yield judged(f"a wide row group, column {name}", read)


def every_backbone(part: int, parts: int) -> Iterator[Verdict]:
    """All that timm lists of up to 50 million parameters: one step, or one sentence."""
    torch.use_deterministic_algorithms(True)
    for name in list(backbones.small(backbones.timm.list_models()))[part::parts]:
        yield judged(name, lambda name=name: backbones.outcome(name))
