"""Stage two on a cache of DomainNet's shape, of made-up rows: how long until its first batch is there, and what memory it takes
with its workers. The network's own memory, which is the device's, is not in it."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pipeline import config, package, recorded
from pipeline.batches import Batch
from pipeline.cache import reader
from pipeline.cache.layout import Shape
from pipeline.engine.cores import cores
from pipeline.methods import METHODS
from pipeline.progress import say
from pipeline.samples import table
from pipeline.samples.folders import FolderImages
from pipeline.samples.loading import Loader
from pipeline.samples.table import Sample, Samples
from pipeline.stage_two import data
from pipeline.stage_two.materials import Assignment, Materials
from pipeline.timing.made_up import SIDES, begun, fill
from pipeline.timing.memory import unique_with_children
from pipeline.timing.rounds import Figures
from pipeline.trials.key import TrialKey
from pipeline.trials.settings import StudentSettings
from pipeline.views.distribution import COLUMNS
from pipeline.views.pictures import DrawnPictures

# DomainNet's, in as many views as the shipped teachers have.
SHAPE = Shape(586_575, views=9, classes=345, prompts=1, embedding=512, columns=len(COLUMNS), block=1024)
DOMAINS = [f"domain-{number}" for number in range(6)]
METHOD, STUDENT, SIZE, WORKERS, BATCHES = "scmd", "resnet50-domainnet", 224, 4, 8
FILES = 16
# Seconds between two looks at the memory.
EVERY = 0.2


FIRST, MEMORY = "s until the first batch is there", "GiB at the most, of all processes' own memory"


def measured(folder: Path, shape: Shape = SHAPE) -> Figures:
    """Of stage two in a process of its own. Writes below `folder` some 16 KB a row, and removes it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as room:
        write(Path(room), shape)
        say(f"a cache of {shape.samples:,} rows is written; stage two begins")
        first, memory = run(Path(room))
    setting = {
        "what": "stage two on a large cache",
        "rows": shape.samples,
        "views": shape.views,
        "classes": shape.classes,
        "pictures": f"{SIZE} px, drawn from JPEG files of 500 × 375 px",
        "method": METHOD,
        "workers": WORKERS,
        "cores": cores(),
    }
    return Figures(setting, {FIRST: first, MEMORY: memory / 2**30}, {FIRST: 30, MEMORY: 4})


def run(room: Path) -> tuple[float, int]:
    """Seconds from a command to its first batch, and the most bytes that it and its workers had to themselves until its last."""
    started, most = time.perf_counter(), 0
    with subprocess.Popen([sys.executable, "-m", __name__, str(room)], stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            most = max(most, unique_with_children(process.pid))
            time.sleep(EVERY)
        assert process.stdout is not None
        return float(process.stdout.read()) - started, most


def write(room: Path, shape: Shape) -> None:
    """A cache, its samples and a few pictures."""
    random = np.random.default_rng(0)
    (room / "images").mkdir()
    for number in range(FILES):
        noise = Image.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8))
        noise.resize(SIDES).save(room / "images" / f"{number}.jpg")
    cache = begun(room / "cache", shape)
    fill(cache)
    table.write(_samples(shape), [], room / "samples")


def _samples(shape: Shape) -> Samples:
    found = dict.fromkeys(DOMAINS, 0)
    classes = [f"class {number}" for number in range(shape.classes)]
    rows = []
    for number in range(shape.samples):
        domain, label = DOMAINS[number % len(DOMAINS)], number // len(DOMAINS) % len(classes)
        key = f"{domain}/{classes[label]}/{domain}_{label:03}_{number:06}.jpg"
        rows.append(Sample(f"{number:064x}", key, domain, classes[label], label, found[domain], *SIDES))
        found[domain] += 1
    return Samples(tuple(rows), tuple(DOMAINS), tuple(classes), found, exif=False, flip=True)


class StandIn(Loader):
    """One of a few files in each image's place."""

    def data(self, row: int) -> bytes:
        return (self.root / f"{row % FILES}.jpg").read_bytes()


def batches(room: Path, count: int, workers: int) -> Iterator[Batch]:
    """As a trial begins: samples, cache, the columns of the method, workers."""
    settings = config.load(package.configuration(f"students/{STUDENT}.yaml"), StudentSettings)
    samples, cache = table.read(room / "samples"), reader.open_complete(room / "cache")
    materials = Materials("large", samples, cache, cache.shape.views, SIZE)
    one = Assignment(TrialKey(STUDENT, DOMAINS[0], METHOD, 0, 0), METHOD, METHODS[METHOD].Settings(), settings)
    load = StandIn(FolderImages(room / "images"), samples.rows, room / "images", exif=samples.exif)
    judged = data.evaluation_set(materials, one, DrawnPictures(load, recorded.recorded_views(cache), SIZE))
    answers = data.answers(materials, judged, one.needs)
    learnt_from = data.training_set(materials, one, answers, judged, DOMAINS[1:])
    yield from learnt_from.stream(0, count, workers, torch.device("cpu"))


def _say_when_the_first_is_there(room: Path) -> None:
    arrived = [time.perf_counter() for _ in batches(room, BATCHES, WORKERS)]
    sys.stdout.write(str(arrived[0]))


if __name__ == "__main__":
    _say_when_the_first_is_there(Path(sys.argv[1]))
