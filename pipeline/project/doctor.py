"""What this machine and project have of what a run needs: a finding each, with what to do."""

import importlib.metadata
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import open_clip
import torch
from filelock import FileLock, Timeout
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE
from packaging.requirements import Requirement

from pipeline.cache import reader
from pipeline.engine.cores import cores
from pipeline.errors import ScmdError, reason
from pipeline.experiment.places import Plan
from pipeline.samples import building, folders, judging, table
from pipeline.samples.dataset import DatasetSettings
from pipeline.samples.table import Samples
from pipeline.student.backbone import require_known
from pipeline.student.start import require_file, weights_file
from pipeline.teacher.settings import LOCAL, TeacherSettings
from pipeline.teacher.settings import weights_file as teacher_file
from pipeline.views.pictures import gigabytes

ROOM_GB = 5.0
# How long the hub has to answer.
HUB_SECONDS = 5.0


class State(Enum):
    """Of a finding."""

    FINE = "ok"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """`said` ends with what to do, where something is to be done."""

    state: State
    what: str
    said: str


def machine() -> Iterator[Finding]:
    """Versions, processor and GPU, room, locks, git and DVC."""
    yield Finding(State.FINE, "python", f"{platform.python_version()} ({sys.executable})")
    yield from _packages()
    yield _device()
    yield _room()
    yield _locks()
    yield from (_program(name) for name in ("git", "dvc"))


def experiment(load: Callable[[], Plan]) -> Iterator[Finding]:
    """Configuration, images, weights, and what is made already."""
    try:
        plan = load()
    except ScmdError as error:
        yield Finding(State.WRONG, "experiment", str(error))
        return
    yield Finding(State.FINE, "experiment", f"{plan.file}: {len(plan.experiment.trials())} trials")
    yield from _images(plan.dataset)
    try:
        samples = table.read(plan.samples_folder) if table.stands(plan.samples_folder) else None
        made, held_out = _made(plan, samples), list(_held_out(plan, samples))
    except ScmdError as error:
        made, held_out = Finding(State.WRONG, "made", str(error)), []
    yield from held_out
    yield _teacher(plan.teacher)
    yield _student(plan)
    yield made


def _packages() -> Iterator[Finding]:
    """Of what scmd declares, without its extras."""
    required = [Requirement(line) for line in importlib.metadata.requires("scmd") or []]
    wrong = []
    for one in required:
        if one.marker and not one.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{one.name} is missing")
            continue
        if not one.specifier.contains(version, prereleases=True):
            wrong.append(f"{one.name} {version} is not {one.specifier}")
    told = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("scmd", "torch", "open_clip_torch", "timm")
    )
    if wrong:
        yield Finding(State.WRONG, "packages", f"{'; '.join(wrong)}: `pip install -U scmd`")
    else:
        yield Finding(State.FINE, "packages", told)


def _device() -> Finding:
    if not torch.cuda.is_available():
        told = f"none that torch {torch.__version__} can use; {cores()} cores of the processor work"
        return Finding(State.NOTE, "gpu", told)
    try:
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
    except RuntimeError as error:
        told = f"it does not answer ({reason(error)}); see to its driver, or set CUDA_VISIBLE_DEVICES="
        return Finding(State.WRONG, "gpu", told)
    return Finding(State.FINE, "gpu", f"{name}, {free / 1e9:.0f} of {total / 1e9:.0f} GB free")


def _room() -> Finding:
    free = shutil.disk_usage(Path()).free / 1e9
    if free < ROOM_GB:
        told = f"{free:.1f} GB free here; caches and pictures may not fit (`scmd teacher --plan` says)"
        return Finding(State.NOTE, "disk", told)
    return Finding(State.FINE, "disk", f"{free:.0f} GB free here")


def _locks() -> Finding:
    try:
        with TemporaryDirectory(dir=".", prefix=".scmd-") as folder:
            lock = FileLock(Path(folder) / "lock", timeout=0, fallback_to_soft=False)
            lock.acquire()
            lock.release()
        return Finding(State.FINE, "locks", "files can be written and locked here")
    except (OSError, Timeout, NotImplementedError) as error:
        told = f"no file can be written or locked here ({error}): work on a local file system, or NFS with its lock service"
        return Finding(State.WRONG, "locks", told)


def _program(name: str) -> Finding:
    if shutil.which(name) is None:
        how = "`pip install 'scmd[dvc]'`" if name == "dvc" else "install it from your system's packages"
        return Finding(State.NOTE, name, f"not installed; {how}, or run without it: `scmd run`")
    here = Path.cwd()
    if not any((folder / f".{name}").exists() for folder in (here, *here.parents)):
        return Finding(State.NOTE, name, f"this folder is no {name} repository; `{name} init` for `dvc repro`")
    told = subprocess.run([name, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return Finding(State.FINE, name, told)


def _images(settings: DatasetSettings) -> Iterator[Finding]:
    """The data set's files against its configuration."""
    root, domains = settings.root, settings.domains
    try:
        building.excluded_keys(settings.exclude)
        there = folders.domains_of(root) if settings.format == "folder" and root.is_dir() else list(domains or ())
    except ScmdError as error:
        yield Finding(State.WRONG, "images", str(error))
        return
    missing = [name for name in domains or () if name not in there]
    others = [name for name in there if domains and name not in domains]
    if not root.exists():
        yield Finding(State.WRONG, "images", f"{root} is not there; put the images there, or change `root`")
    elif missing:
        told = (
            f"{root} has no folder for domain `{missing[0]}`; put it there, or take it out of the data set's `domains`"
        )
        yield Finding(State.WRONG, "images", told)
    else:
        yield Finding(State.FINE, "images", f"{root} is there")
        if others:
            told = f"{root} also has {', '.join(others)}, which the data set's `domains` do not name and nothing learns from"
            yield Finding(State.NOTE, "images", told)


def _held_out(plan: Plan, samples: Samples | None) -> Iterator[Finding]:
    """The experiment's held-out domains against the data set's."""
    held_out = plan.experiment.matrix.held_out
    known = plan.dataset.domains or (samples.domains if samples else held_out)
    if unknown := [name for name in held_out if name not in known]:
        told = f"`{unknown[0]}` is none of the data set's domains ({', '.join(known)}); change `matrix.held_out`"
        yield Finding(State.WRONG, "held out", told)
    elif samples:
        for leak in judging.leaks(samples.rows, held_out):
            yield Finding(State.NOTE, "held out", leak)


def _teacher(teacher: TeacherSettings) -> Finding:
    told = f"{teacher.model}, {teacher.weights}" if teacher.weights else teacher.model
    if teacher_file(teacher.model, teacher.weights):
        return Finding(State.FINE, "teacher", f"{told}: the weights are here")
    if teacher.model.startswith(LOCAL):
        return Finding(State.WRONG, "teacher", f"{told}: no weights there; put the folder there, or change `model`")
    tag = open_clip.get_pretrained_cfg(teacher.model, str(teacher.weights))
    if not tag:
        return Finding(
            State.WRONG,
            "teacher",
            f"{told}: neither a file nor a tag of open_clip; `open_clip.list_pretrained()` lists them",
        )
    owner, _, rest = str(tag.get("hf_hub", "")).strip("/").partition("/")
    model, _, file = rest.partition("/")
    names = (file,) if file else ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    if model and any(isinstance(try_to_load_from_cache(f"{owner}/{model}", name), str) for name in names):
        return Finding(State.FINE, "teacher", f"{told}: the weights are in the hub's folder on this machine")
    return _fetched("teacher", told, "set `weights` to a local file")


def _fetched(what: str, told: str, otherwise: str) -> Finding:
    """Of weights that are not on this machine, and whether the hub answers from it."""
    if silence := _silence():
        said = f"{told}: its weights are on the hub, and {ENDPOINT} does not answer ({silence}); {otherwise}"
        return Finding(State.WRONG, what, said)
    return Finding(State.NOTE, what, f"{told}: the weights are fetched from the hub at first use")


def _silence() -> str | None:
    """Why the hub does not answer; None where it does, whatever it says."""
    if HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        urlopen(Request(ENDPOINT, method="HEAD"), timeout=HUB_SECONDS).close()
    except HTTPError:
        return None
    except OSError as error:
        return reason(error)
    return None


def _student(plan: Plan) -> Finding:
    model = plan.student.model
    try:
        require_known(model.backbone)
    except ScmdError as error:
        return Finding(State.WRONG, "student", str(error))
    if not model.pretrained:
        return Finding(State.FINE, "student", f"{model.backbone}, from random weights")
    if weights_file(model.backbone, model.pretrained):
        return Finding(State.FINE, "student", f"{model.backbone}: the weights are here")
    if isinstance(model.pretrained, str):
        try:
            require_file(model.pretrained)
        except ScmdError as error:
            return Finding(State.WRONG, "student", str(error))
        return Finding(
            State.WRONG, "student", f"{model.pretrained} is not there; put the file there, or change `pretrained`"
        )
    return _fetched("student", model.backbone, "name a file as `pretrained`")


def _made(plan: Plan, samples: Samples | None) -> Finding:
    """Raises CacheError where what stands is damaged."""
    if samples is None:
        return Finding(State.NOTE, "made", f"nothing yet; `{plan.command('samples')}`, or `dvc repro`")
    needed = gigabytes(len(samples.rows), plan.teacher.views, plan.experiment.pixels.size)
    cache = "a teacher cache" if reader.exists(plan.cache_folder) else "no teacher cache yet"
    told = f"{len(samples.rows):,} samples, {cache}; the student's pictures take {needed:.1f} GB, all views"
    return Finding(State.FINE, "made", told)
