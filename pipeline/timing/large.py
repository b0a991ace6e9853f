"""Stage two on a cache of DomainNet's shape, of made-up rows: how long until its first step is taken, and what memory it takes
with its workers. The network's own memory, which is a GPU's, is not in that."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pipeline import config, package, recorded, replay, training
from pipeline.batches import Batch
from pipeline.cache import reader
from pipeline.cache.layout import Shape
from pipeline.engine import workers as engine
from pipeline.engine.cores import cores
from pipeline.engine.device import device
from pipeline.errors import InputError
from pipeline.methods import METHODS
from pipeline.progress import say
from pipeline.samples import table
from pipeline.samples.folders import FolderImages
from pipeline.samples.loading import Loader
from pipeline.samples.table import Sample, Samples
from pipeline.stage_two import data, running
from pipeline.stage_two.data import Answers
from pipeline.stage_two.materials import Assignment, Materials, made_from
from pipeline.timing.made_up import SIDES, VIEW, begun, fill
from pipeline.timing.memory import unique_with_children
from pipeline.timing.rounds import Figures
from pipeline.training_set import TrainingSet
from pipeline.trials.key import TrialKey
from pipeline.trials.settings import StudentSettings
from pipeline.views.distribution import COLUMNS
from pipeline.views.pictures import Drawer, DrawnPictures
from pipeline.views.render import probe, render

# DomainNet's, in as many views as the shipped teachers have.
SHAPE = Shape(586_575, views=9, classes=345, prompts=1, embedding=512, columns=len(COLUMNS), block=1024)
DOMAINS = [f"domain-{number}" for number in range(6)]
METHOD, STUDENT, SIZE, WORKERS, BATCHES = "scmd", "resnet50-domainnet", 224, 4, 8
# With random weights. A step of the configuration's own network takes a processor of two cores half a minute.
BACKBONES = {"cpu": "resnet10t", "cuda": "resnet50.tv2_in1k"}
FILES = 16
# Seconds between two looks at the memory.
EVERY = 0.2


FIRST, MEMORY = "s until the first step is taken", "GiB at the most, of all processes' own memory, the network aside"


def measured(folder: Path, shape: Shape = SHAPE) -> Figures:
    """Of stage two in processes of its own. Writes below `folder` some 16 KB a row, and removes it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as room:
        write(Path(room), shape)
        say(f"a cache of {shape.samples:,} rows is written; stage two begins")
        memory, first = memory_of_batches(Path(room)), seconds_to_first_step(Path(room))
    setting = {
        "what": "stage two on a large cache",
        "rows": shape.samples,
        "views": shape.views,
        "classes": shape.classes,
        "pictures": f"{SIZE} px, drawn from JPEG files of 500 × 375 px",
        "method": METHOD,
        "first step": f"of {BACKBONES[device().type]} on a {device().type}",
        "workers": WORKERS,
        "cores": cores(),
    }
    return Figures(setting, {FIRST: first, MEMORY: memory / 2**30}, {FIRST: 30, MEMORY: 4})


def memory_of_batches(room: Path) -> int:
    """The most bytes that a process and its workers have to themselves until the first batches are there."""
    most = 0
    with subprocess.Popen(_command("batches", room)) as process:
        while process.poll() is None:
            most = max(most, unique_with_children(process.pid))
            time.sleep(EVERY)
    _require_done(process.returncode)
    return most


def seconds_to_first_step(room: Path) -> float:
    """From the start of a process until a trial has taken its first step; nobody looks at its memory, which takes time."""
    started = time.perf_counter()
    done = subprocess.run(_command("step", room), stdout=subprocess.PIPE, text=True)
    _require_done(done.returncode)
    return float(done.stdout) - started


def _command(what: str, room: Path) -> list[str]:
    return [sys.executable, "-m", __name__, what, str(room)]


def _require_done(code: int) -> None:
    if code:
        raise InputError(f"stage two on a large cache ended with exit code {code}: what it said stands above")


def write(room: Path, shape: Shape) -> None:
    """A cache, its samples and a few pictures."""
    random = np.random.default_rng(0)
    (room / "images").mkdir()
    for number in range(FILES):
        noise = Image.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8))
        noise.resize(SIDES).save(room / "images" / f"{number}.jpg")
    cache = begun(room / "cache", shape)
    fill(cache, {"pixel_probe": _probes(room / "images", shape)})
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


def _probes(images: Path, shape: Shape) -> np.ndarray:
    """(block, V, 48): what a teacher would have seen of each row of a block in the views that `fill` writes."""
    of_file = np.stack([probe(render(Image.open(images / f"{number}.jpg"), VIEW, SIZE)) for number in range(FILES)])
    return np.repeat(of_file[np.arange(shape.block) % FILES][:, None], shape.views, axis=1)


@dataclass(frozen=True)
class Beginning:
    """A trial with all that its batches are made from."""

    materials: Materials
    one: Assignment
    answers: Answers
    learnt_from: TrainingSet

    def batches(self, count: int, workers: int) -> Iterator[Batch]:
        """The first of them."""
        return self.learnt_from.stream(0, count, workers, device())


def beginning(room: Path) -> Beginning:
    """As a trial begins: samples, cache, the check of its pictures, the columns of the method."""
    settings = config.load(package.configuration(f"students/{STUDENT}.yaml"), StudentSettings)
    model = settings.model.model_copy(update={"backbone": BACKBONES[device().type], "pretrained": False})
    samples, cache = table.read(room / "samples"), reader.open_complete(room / "cache")
    materials = Materials("large", samples, cache, cache.shape.views, SIZE)
    settings = settings.model_copy(update={"model": model})
    one = Assignment(TrialKey(STUDENT, DOMAINS[0], METHOD, 0, 0), METHOD, METHODS[METHOD].Settings(), settings)
    load = StandIn(FolderImages(room / "images"), samples.rows, room / "images", exif=samples.exif)
    pictures = DrawnPictures(load, recorded.recorded_views(cache), SIZE)
    judged = data.evaluation_set(materials, one, pictures)
    replay.check(judged.rows, pictures, cache.rows_of("pixel_probe"), SIZE, pictures, one.key.trial)
    answers = data.answers(materials, judged, one.needs)
    return Beginning(materials, one, answers, data.training_set(materials, one, answers, judged, DOMAINS[1:]))


def take_first_step(room: Path, workers: int) -> float:
    """From nothing to a trial's first update, as `scmd student` does it; when that was done, by `time.perf_counter`."""
    with engine.importing(Drawer, workers):
        trial_begun = beginning(room)
        made_from(trial_begun.materials, trial_begun.one)  # by which a checkpoint would be known
        trial = running.started(trial_begun.materials, trial_begun.one, trial_begun.answers.text, DOMAINS[1:])
        training.learn(trial, next(trial_begun.batches(2, workers)))
        if trial.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


if __name__ == "__main__":
    part, folder = sys.argv[1], Path(sys.argv[2])
    if part == "step":
        sys.stdout.write(str(take_first_step(folder, WORKERS)))
    else:
        for _ in beginning(folder).batches(BATCHES, WORKERS):
            pass
