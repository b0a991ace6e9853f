"""A small made-up data set, a small real CLIP, and the real command line."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import yaml
from filelock import FileLock
from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from pipeline import cli, ending
from pipeline.views.distribution import view_numbers

ROOT = Path(__file__).parent.parent
# Two test processes share the machine; threads of both would only wait for one another.
torch.set_num_threads(1)
# Of processes that tests start: this checkout's code and the tools of this environment, a thread each.
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
    "DVC_NO_ANALYTICS": "1",
}
DOMAINS = ("clay", "ink", "neon")
CLASSES = ("disc", "square")
PER_CLASS = 6


def process_scmd(*arguments: str, cwd: Path, env: dict | None = None) -> subprocess.CompletedProcess:
    """The command line as a user runs it, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        cwd=cwd,
        env={**ENVIRONMENT, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def run_scmd(*arguments: str, cwd: Path, env: dict | None = None) -> subprocess.CompletedProcess:
    """The command line in this process, which has paid for importing torch; with an environment of its own, in another.

    Without worker processes where a test asks for none: each pays for importing torch again.
    """
    if env:
        return process_scmd(*arguments, cwd=cwd, env=env)
    out, err, code = io.StringIO(), io.StringIO(), 0
    handlers = {number: signal.getsignal(number) for number in ending.SIGNALS}
    argv, deterministic, environment = sys.argv, torch.are_deterministic_algorithms_enabled(), dict(os.environ)
    sys.argv = ["scmd", *arguments]
    try:
        with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
    except SystemExit as end:
        code = end.code or 0
    except Exception:
        code = 1
        traceback.print_exc(file=err)
    finally:
        sys.argv = argv
        os.environ.clear()
        os.environ.update(environment)
        torch.use_deterministic_algorithms(deterministic)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return subprocess.CompletedProcess(["scmd", *arguments], code, out.getvalue(), err.getvalue())


def hear_interrupts() -> None:
    """Before a process of a test starts: it hears Ctrl-C, also where the tests run in the background of a shell that does not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def ok(*arguments: str, cwd: Path, env: dict | None = None) -> str:
    """The output of a command that must succeed."""
    done = run_scmd(*arguments, cwd=cwd, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def refused(*arguments: str, cwd: Path, env: dict | None = None) -> str:
    """The one sentence of a command that must fail cleanly."""
    done = run_scmd(*arguments, cwd=cwd, env=env)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    sentences = [line for line in done.stderr.splitlines() if line.startswith("scmd: ")]
    assert len(sentences) == 1, done.stderr
    return sentences[0]


def alive(group: int) -> list[str]:
    """Processes of a group that still run; what has ended and was not yet fetched does not."""
    done = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in done.stdout.splitlines()]
    return [row[2] for row in rows if int(row[0]) == group and not row[1].startswith("Z")]


def files(folder: Path) -> dict[str, bytes]:
    """Relative path → content of everything below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def draw_image(domain: str, name: str, number: int) -> Image.Image:
    """A disc or a square of its own place, size and colour on its domain's ground."""
    random = np.random.default_rng([DOMAINS.index(domain), CLASSES.index(name), number])
    width, height = (int(side) for side in random.integers(40, 64, 2))
    ground = {"clay": (200, 160, 120), "ink": (250, 250, 250), "neon": (10, 0, 40)}[domain]
    image = Image.new("RGB", (width, height), ground)
    left, top, side = (int(value) for value in random.integers((2, 2, 18), (14, 14, 24)))
    shape = ImageDraw.Draw(image).ellipse if name == "disc" else ImageDraw.Draw(image).rectangle
    shape((left, top, left + side, top + side), fill=tuple(int(value) for value in random.integers(0, 255, 3)))
    return image


def draw_many(distribution, seed: int, samples: list[tuple[str, int, int]], views: range) -> np.ndarray:
    """[(id, width, height)] × views → (len(samples), len(views), 11) float32."""
    return np.stack(
        [[view_numbers(distribution, seed, name, view, *size) for view in views] for name, *size in samples]
    )


def write_images(root: Path) -> None:
    for domain in DOMAINS:
        for name in CLASSES:
            folder = root / domain / name
            folder.mkdir(parents=True)
            for number in range(PER_CLASS):
                draw_image(domain, name, number).save(folder / f"{number}.png")


def once(tmp_path_factory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills for all test processes of a run: the first makes it, the others wait."""
    place = tmp_path_factory.getbasetemp()
    place = place.parent if "PYTEST_XDIST_WORKER" in os.environ else place
    with FileLock(place / f"{name}.lock"):
        if not (place / name / "made").exists():
            make(place / name / "it")
            (place / name / "made").touch()
    return place / name / "it"


@pytest.fixture(scope="session")
def tiny_teacher(tmp_path_factory) -> Path:
    """Never changed."""
    return once(tmp_path_factory, "tiny-teacher", make_tiny_teacher)


def make_tiny_teacher(folder: Path) -> None:
    """A `local-dir:` folder with a real, untrained CLIP of one layer a tower."""
    folder.mkdir(parents=True)
    towers = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    preprocess = {
        "mean": [0.48, 0.46, 0.41],
        "std": [0.27, 0.26, 0.28],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": towers, "preprocess_cfg": preprocess}))
    torch.manual_seed(0)
    model = open_clip.CLIP(16, CLIPVisionCfg(**towers["vision_cfg"]), CLIPTextCfg(**towers["text_cfg"]))
    save_file(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )


def configurations(teacher: Path, root: str = "images") -> dict[str, dict]:
    """The four files of a small experiment, by path below `configs`."""
    return {
        "datasets/toy.yaml": {"root": root},
        "teachers/tiny.yaml": {
            "model": f"local-dir:{teacher}",
            "templates": ["a drawing of a {}", "{}"],
            "views": 3,
            "block": 16,
            "batch": 8,
        },
        "students/small.yaml": {
            "model": {"backbone": "test_resnet", "pretrained": False, "batch_norm": "trained"},
            "optimiser": {"name": "adamw", "lr": 1e-3},
            "averaging": {"start_fraction": 0.5},
            "steps": 6,
            "batch": 4,
            "evaluate_every": 3,
        },
        "experiment.yaml": {
            "dataset": "toy",
            "images": root,
            "teacher": "tiny",
            "student": "small",
            "pixels": {"size": 24, "max_gb": 1.0},
            "matrix": {"held_out": ["ink"], "method": ["erm", "scmd"], "trial": [0]},
            "methods": {"erm": {}, "kd": {"lambda1": 0.5}, "scmd": {"hard_fraction": 0.5}},
        },
    }


def write_configurations(folder: Path, files: dict[str, dict]) -> None:
    for name, data in files.items():
        path = folder / "configs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(data))


def change(folder: Path, name: str, **values) -> None:
    """Sets keys of a configuration file."""
    path = folder / "configs" / name
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}))


@pytest.fixture
def project(tmp_path, tiny_teacher) -> Path:
    """A folder with images and configurations, in which nothing has run."""
    write_images(tmp_path / "images")
    write_configurations(tmp_path, configurations(tiny_teacher))
    return tmp_path


@pytest.fixture(scope="session")
def made(tmp_path_factory, tiny_teacher) -> Path:
    """A project whose samples, teacher cache and pixels are made; copied by `ready`, never changed."""

    def make(folder: Path) -> None:
        write_images(folder / "images")
        write_configurations(folder, configurations(tiny_teacher))
        for stage in ("samples", "teacher", "pixels"):
            ok(stage, cwd=folder)

    return once(tmp_path_factory, "made", make)


@pytest.fixture
def ready(made, tmp_path) -> Path:
    """A project of one's own in which everything before the student has run."""
    shutil.copytree(made, tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture(scope="session")
def trained(made, tmp_path_factory) -> Path:
    """A project in which all of its trials have run, and the report; never changed."""

    def make(folder: Path) -> None:
        shutil.copytree(made, folder)
        for method in ("erm", "scmd"):
            ok("student", "--held-out", "ink", "--method", method, cwd=folder)
        ok("report", cwd=folder)

    return once(tmp_path_factory, "trained", make)


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Path:
    """The wheel, built from a copy of the sources and installed into an empty folder; never changed."""

    def make(folder: Path) -> None:
        source = folder / "source"
        # Not the repository itself, into which a build writes.
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "pipeline", source / "pipeline", symlinks=True, ignore=ignore)
        shutil.copytree(ROOT / "configs", source / "configs")
        for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
            shutil.copy(ROOT / name, source)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
        subprocess.run([*pip, "wheel", "--no-deps", "-w", str(folder), str(source)], check=True)
        (wheel,) = folder.glob("*.whl")
        subprocess.run([*pip, "install", "--no-deps", "--target", str(folder / "target"), str(wheel)], check=True)

    return once(tmp_path_factory, "wheel", make) / "target"
