"""What a cache costs by its rows and views where encoding costs nothing: to write, to open, to check, and on the disk."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.cache import reader, verify
from pipeline.cache.layout import Shape
from pipeline.timing import memory
from pipeline.timing.made_up import begun, fill
from pipeline.timing.rounds import Figures
from pipeline.views.distribution import COLUMNS

# Rows, views and rows of a block, as `block` of the shipped teachers' configurations has them.
SIZES = (
    *((rows, views, 256) for views in (1, 8) for rows in (10_000, 100_000, 1_000_000)),
    *((rows, 30, 256) for rows in (10_000, 100_000)),
    (586_575, 9, 1024),
)
CLASSES, EMBEDDING = 100, 512
OPEN, MEMORY = "s to open", "GiB at the most while it is opened"


def measured(folder: Path) -> Iterator[Figures]:
    """Of every size. Writes below `folder` up to 10 GB, and removes it."""
    folder.mkdir(parents=True, exist_ok=True)
    for rows, views, block in SIZES:
        with tempfile.TemporaryDirectory(dir=folder) as room:
            yield _of(Path(room), Shape(rows, views, CLASSES, 1, EMBEDDING, len(COLUMNS), block))


def _of(room: Path, shape: Shape) -> Figures:
    started = time.perf_counter()
    cache = begun(room / "cache", shape)
    head = time.perf_counter()
    fill(cache)
    written = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", __name__, str(cache.folder)], stdout=subprocess.PIPE, check=True)
    seconds, peak = json.loads(done.stdout)
    begun_to_verify = time.perf_counter()
    found = list(verify.faults(cache.folder))
    verified = time.perf_counter() - begun_to_verify
    assert not found
    sizes = [path.stat().st_size for path in cache.folder.rglob("*") if path.is_file()]
    figures = {
        "s to write the head": head - started,
        "s to write the rest": written - head,
        OPEN: seconds,
        MEMORY: peak / 2**30,
        "s to verify": verified,
        "files": len(sizes),
        "GB": sum(sizes) / 1e9,
    }
    setting = {
        "what": "a cache of made-up rows",
        "rows": shape.samples,
        "views": shape.views,
        "rows a block": shape.block,
    }
    return Figures(setting, figures, {OPEN: 5, MEMORY: 1} if shape.samples == 586_575 else {})


def _opened(folder: Path) -> tuple[float, float]:
    """Seconds to open a cache, and the most bytes in memory."""
    started = time.perf_counter()
    reader.open_complete(folder)
    return time.perf_counter() - started, memory.most()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_opened(Path(sys.argv[1]))))
