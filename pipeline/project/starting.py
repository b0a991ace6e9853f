"""The files that make an experiment of a folder of images, in the user's own project."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from pipeline import package
from pipeline.errors import InputError
from pipeline.samples.table import Samples
from pipeline.writing import replace_text

# Not called dvc.yaml: DVC would take it for a part of the project that it lies in.
STAGES = package.HOME / "project" / "stages.yaml"
# Written last: with it the project is one.
EXPERIMENT = "configs/experiment.yaml"
IGNORED = "/cache/\n/results/\n"
# How long a trial took differs from run to run; checkpoints are of trials that were stopped.
DVC_IGNORED = "/results/trials/**/metrics.json\n/results/trials/**/checkpoints\n"


@dataclass(frozen=True)
class Choice:
    """Shipped configurations by name, and the side of the student's pictures."""

    teacher: str
    student: str
    size: int


# With a GPU the paper's student; without one, a student that a processor trains in minutes.
ON_GPU = Choice("vit-b-32-openai", "resnet50", 224)
ON_CPU = Choice("vit-b-32-openai", "resnet10t", 64)


def require_free(folder: Path, texts: Mapping[str, str]) -> None:
    """Raises InputError where the project has one of the files that would be written, with another text."""
    for place, text in texts.items():
        path = folder / place
        if path.exists() and (not path.is_file() or path.read_text("utf-8", "replace") != text):
            raise InputError(f"{place} is already here, and nothing was written; change it, or start in another folder")


def require_apart(folder: Path, root: Path) -> None:
    """Raises InputError where the project would lie among the images, which DVC watches as a whole."""
    if folder.resolve().is_relative_to(root.resolve()):
        raise InputError(
            f"{root}: the project would lie among the images, where DVC takes no output; go to another folder, as the one above, "
            "and name the images from there"
        )


def name_of(root: Path) -> str:
    """A data set's name from its folder's."""
    return re.sub(r"[^a-z0-9]+", "_", root.resolve().name.lower()).strip("_") or "mine"


def files(root: Path, samples: Samples, choice: Choice) -> dict[str, str]:
    """Place → text, the experiment last. Raises InputError for a configuration that does not ship."""
    name = name_of(root)
    _require_shipped("teachers", choice.teacher)
    _require_shipped("students", choice.student)
    # All of them, so that another `teacher` or `student` in the experiment names a file that is there.
    whole = _whole("exclude", "plots", "teachers", "students")
    return {
        f"configs/datasets/{name}.yaml": _dataset(root, samples),
        **{f"configs/{place}": package.configuration(place).read_text("utf-8") for place in whole},
        "dvc.yaml": STAGES.read_text("utf-8"),
        EXPERIMENT: _experiment(name, root, samples, choice),
    }


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Into a project's folder, each whole or not at all."""
    for place, text in ((".gitignore", IGNORED), (".dvcignore", DVC_IGNORED)):
        _add(folder / place, text)
    for place, text in texts.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, text)


def _whole(*folders: str) -> Iterator[str]:
    """Every file of folders of the shipped configurations."""
    for name in folders:
        yield from sorted(f"{name}/{file.name}" for file in package.configuration(name).iterdir())


def _require_shipped(kind: str, name: str) -> None:
    file = package.configuration(f"{kind}/{name}.yaml")
    if not file.is_file():
        there = ", ".join(sorted(one.stem for one in file.parent.glob("*.yaml")))
        raise InputError(
            f"`--{kind.removesuffix('s')} {name}`: none of this name ships with scmd; those there are: {there}"
        )


def _experiment(name: str, root: Path, samples: Samples, choice: Choice) -> str:
    matrix = {"held_out": list(samples.domains), "method": ["erm", "kd", "scmd"], "trial": [0]}
    plain = {
        "dataset": name,
        "images": str(root),
        "teacher": choice.teacher,
        "student": choice.student,
        "pixels": {"size": choice.size, "max_gb": 8},
        "matrix": matrix,
        "methods": {"erm": {}, "kd": {"lambda1": 0.5}, "scmd": _selection(choice.student)},
    }
    return f"# Which data set, teacher and student; the trials. Every key: scmd's docs/settings.md.\n{_yaml(plain)}"


def _selection(student: str) -> dict[str, float]:
    """The paper's for a student that starts from trained weights; else what `configs/experiment.yaml` found for one that
    does not: a fifth of a batch is too little to learn all from."""
    file = package.configuration(f"students/{student}.yaml")
    pretrained = yaml.safe_load(file.read_text("utf-8"))["model"]["pretrained"]
    return {} if pretrained else {"hard_fraction": 0.5, "full_batch_fraction": 0.25}


def _dataset(root: Path, samples: Samples) -> str:
    plain = {"root": str(root), "domains": list(samples.domains), "classes": list(samples.classes)}
    return f"# Where the images are: root/domain/class/image.\n{_yaml(plain)}"


def _yaml(plain: object) -> str:
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)


def _add(path: Path, text: str) -> None:
    """Lines that a file lacks, behind those that it has."""
    known = path.read_text(encoding="utf-8") if path.is_file() else ""
    lacking = [line for line in text.splitlines() if line not in known.splitlines()]
    if lacking:
        start = known if not known or known.endswith("\n") else f"{known}\n"
        replace_text(path, start + "".join(f"{line}\n" for line in lacking))
