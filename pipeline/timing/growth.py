"""What memory stage one takes as a data set grows: real images of mixed sizes, encoded by a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline import config, package
from pipeline.cache.writer import Work
from pipeline.progress import QUIET, TALK, say
from pipeline.samples import table
from pipeline.samples.dataset import DatasetSettings
from pipeline.stage_one import completing, task
from pipeline.stage_one.encoding import Arrays, Asked, Encoder
from pipeline.teacher.settings import TeacherSettings
from pipeline.timing import memory
from pipeline.timing.made_up import samples_of
from pipeline.timing.rounds import Figures

IMAGES = (1_000, 10_000, 100_000)
TEACHER, VIEWS = "icons", 1
# The side in pixels of the one image that is large, and those between which all others' are.
LARGE, SIDES = 9_900, (16, 160)
PEAK, STEADY, TABLES = "GiB at the most", "GiB at the most, the tables of rows aside", "bytes a row of these tables"


def measured(folder: Path) -> Iterator[Figures]:
    """Of every number of images."""
    folder.mkdir(parents=True, exist_ok=True)
    told = []
    for count in IMAGES:
        with tempfile.TemporaryDirectory(dir=folder) as room:
            _write(Path(room), count)
            command = [sys.executable, "-m", __name__, room]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env={**os.environ, TALK: QUIET})
            told.append(json.loads(done.stdout))
        say(f"{count:,} images are encoded")
    tables = (told[-1]["before"] - told[0]["before"]) / (IMAGES[-1] - IMAGES[0])
    steady = [one["peak"] - tables * count for one, count in zip(told, IMAGES, strict=True)]
    for count, one, rest in zip(IMAGES, told, steady, strict=True):
        setting = {
            "what": "memory of stage one",
            "images": count,
            "views": VIEWS,
            "teacher": TEACHER,
            "the largest": f"{LARGE} px",
        }
        figures = {PEAK: one["peak"] / 2**30, STEADY: rest / 2**30, TABLES: tables, "s in all": one["seconds"]}
        yield Figures(setting, figures, {STEADY: round(1.1 * steady[0] / 2**30, 2)})


def _write(room: Path, count: int) -> None:
    """Small images of mixed sizes, a large one, and the table of them all."""
    random = np.random.default_rng(0)
    for number in range(count):
        place = room / "images" / f"domain-{number % 4}" / f"class-{number // 4 % 8}"
        place.mkdir(parents=True, exist_ok=True)
        width, height = (LARGE, LARGE) if number == 0 else random.integers(*SIDES, 2).tolist()
        image = Image.new("RGB", (width, height), (number % 251, number // 251 % 251, number // 251**2))
        image.save(place / f"{number}.png", compress_level=1)
    table.write(samples_of(DatasetSettings(root=room / "images")), [], room / "samples")


def _stage_one(room: Path) -> dict[str, float]:
    """Bytes in memory before the first image is read, when all tables are there, and the most of all; seconds."""
    started, told = time.perf_counter(), {}

    def engine(encoder: Encoder, asked: Sequence[Asked]) -> Iterator[tuple[Work, Arrays]]:
        told["before"] = float(os.sysconf("SC_PAGE_SIZE") * int(Path("/proc/self/statm").read_text().split()[1]))
        yield from encoder.arrays(asked, 0)

    shipped = config.load(package.configuration(f"teachers/{TEACHER}.yaml"), TeacherSettings)
    settings = shipped.model_copy(update={"views": VIEWS})
    work = task.prepare(room / "cache", settings, DatasetSettings(root=room / "images"), table.read(room / "samples"))
    completing.build(work, engine)
    return {**told, "peak": memory.most(), "seconds": time.perf_counter() - started}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_stage_one(Path(sys.argv[1]))))
