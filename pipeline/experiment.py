"""An experiment: which data set, teacher, student, methods and trials; where their files are; checks that join them."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from pipeline import config
from pipeline.config import Section
from pipeline.errors import ConfigError
from pipeline.methods import METHODS
from pipeline.methods.settings import MethodSettings
from pipeline.samples.dataset import DatasetSettings
from pipeline.selector import kept
from pipeline.student import ModelSettings
from pipeline.teacher.settings import TeacherSettings
from pipeline.training import OptimiserSettings

DEFAULT = Path("configs/experiment.yaml")

# Below these the selector starves: a trial of 440 steps with 12 images kept fell from 66 % (KD) to 38 %.
FEW_STEPS, FEW_KEPT = 800, 16


class PixelSettings(Section):
    """The side of the student's square pictures; a set that would need more than `max_gb` is drawn while training."""

    size: int = Field(ge=8)
    max_gb: float = Field(8.0, ge=0)


class Matrix(Section):
    held_out: tuple[str, ...] = Field(min_length=1)
    method: tuple[str, ...] = Field(min_length=1)
    trial: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)

    @field_validator("held_out", "method", "trial")
    @classmethod
    def _each_once(cls, values):
        if twice := [value for value in values if values.count(value) > 1]:
            raise ValueError(f"names `{twice[0]}` twice")
        return values

    def trials(self) -> list[tuple[str, str, int]]:
        """Every (held-out domain, method, trial), all of one trial number before the next."""
        return [(domain, method, number) for number in self.trial for domain in self.held_out for method in self.method]


class Experiment(Section):
    """`configs/experiment.yaml`. `images` repeats the data set's root, since DVC must know which files to watch."""

    dataset: str
    images: Path
    teacher: str
    student: str
    pixels: PixelSettings
    matrix: Matrix
    methods: dict[str, dict]

    @field_validator("images")
    @classmethod
    def _written_out(cls, images):
        if str(images).startswith("~"):
            raise ValueError("write the path out, as DVC does not know `~`")
        return images

    @field_validator("methods")
    @classmethod
    def _known_methods(cls, methods):
        faults = []
        for name, settings in methods.items():
            if name not in METHODS:
                faults.append(f"method `{name}` is unknown (known: {', '.join(METHODS)})")
                continue
            try:
                config.parse(settings, METHODS[name].settings, name)
            except ConfigError as error:
                faults.append(str(error))
        if faults:
            raise ValueError("; ".join(faults))
        return methods

    @model_validator(mode="after")
    def _methods_have_settings(self):
        lacking = [name for name in self.matrix.method if name not in self.methods]
        if lacking:
            raise ValueError(f"matrix.method names `{lacking[0]}`, for which `methods` has no settings")
        return self

    def method(self, name: str) -> MethodSettings:
        """The settings of a method. Raises ConfigError where the experiment has none for it."""
        if name not in self.methods:
            raise ConfigError(f"method `{name}` has no settings under `methods` ({', '.join(self.methods)} have)")
        return config.parse(self.methods[name], METHODS[name].settings, name)


class SplitSettings(Section):
    """`domainbed` reproduces its `split_dataset`; `stable` is a threshold on the hash of trial and sample id."""

    rule: Literal["domainbed", "stable"] = "domainbed"
    holdout_fraction: float = Field(0.2, gt=0, lt=1)


class AveragingSettings(Section):
    """EoA averages from update `start`; a shorter run from a share of its steps."""

    start: int | None = Field(None, ge=1)
    start_fraction: float | None = Field(None, gt=0, lt=1)

    @model_validator(mode="after")
    def _one_of_both(self):
        if (self.start is None) == (self.start_fraction is None):
            raise ValueError("set either `start` or `start_fraction`")
        return self


class StudentSettings(Section):
    """`configs/students/*.yaml`. Defaults are the paper's; `batch` counts images of each source domain."""

    model: ModelSettings = ModelSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    averaging: AveragingSettings = AveragingSettings(start=300)
    split: SplitSettings = SplitSettings()
    steps: int = Field(5001, ge=1)
    batch: int = Field(32, ge=1)
    evaluate_every: int = Field(300, ge=1)
    workers: int = Field(0, ge=0)


@dataclass(frozen=True)
class Plan:
    """An experiment with its three configurations read, and where everything is, relative to the working folder."""

    file: Path
    experiment: Experiment
    dataset: DatasetSettings
    teacher: TeacherSettings
    student: StudentSettings

    def command(self, stage: str) -> str:
        """How a user calls a stage of this experiment."""
        return f"scmd {stage}" if self.file == DEFAULT else shlex.join(["scmd", stage, "--experiment", str(self.file)])

    @property
    def samples_folder(self) -> Path:
        return Path("cache") / self.experiment.dataset

    @property
    def cache_folder(self) -> Path:
        """Where it is a link, as to another disk, what that leads to: a writer puts files in and beside it."""
        folder = self.samples_folder / self.experiment.teacher
        return folder.resolve() if folder.is_symlink() else folder

    @property
    def pixels_folder(self) -> Path:
        return self.samples_folder / f"{self.experiment.teacher}.pixels-{self.experiment.pixels.size}"

    def trained_with(self, method: str) -> dict:
        """The settings that a trial of a method follows from, as its card tells them."""
        model = self.student.model
        return {
            "method": {"name": method, **self.experiment.method(method).model_dump(mode="json")},
            "student": self.student.model_dump(mode="json"),
            "input": {
                "size": self.experiment.pixels.size,
                "resize": "squash, bilinear",
                "mean": list(model.mean),
                "std": list(model.std),
            },
        }


def load(file: Path) -> Plan:
    """Reads an experiment and the configurations that it names, from the folders beside it."""
    experiment = config.load(file, Experiment)
    where = file.parent
    plan = Plan(
        file,
        experiment,
        config.load(where / "datasets" / f"{experiment.dataset}.yaml", DatasetSettings),
        config.load(where / "teachers" / f"{experiment.teacher}.yaml", TeacherSettings),
        config.load(where / "students" / f"{experiment.student}.yaml", StudentSettings),
    )
    if plan.dataset.root != experiment.images:
        raise ConfigError(
            f"{file}: `images` is {experiment.images}, but the data set `{experiment.dataset}` has its `root` at "
            f"{plan.dataset.root}; write the same path in both, as DVC watches `images`"
        )
    return plan


def require_domain(held_out: str, domains: tuple[str, ...]) -> None:
    if held_out not in domains:
        raise ConfigError(f"held-out domain `{held_out}` is not in the data set (its domains: {', '.join(domains)})")


def require_pair(student: StudentSettings, method: MethodSettings, sources: int) -> None:
    """Batch statistics need two images: raises ConfigError where selection would leave one."""
    if kept(student.batch * sources, method.hard_fraction) < 2:
        raise ConfigError(
            f"`hard_fraction: {method.hard_fraction}` keeps one image of {student.batch * sources}; raise it, or the "
            "student's `batch`, so that at least two are left"
        )


def schedule_warning(student: StudentSettings, method: MethodSettings, sources: int) -> str | None:
    """What a short schedule does to a selecting method, or None."""
    left = kept(student.batch * sources, method.hard_fraction)
    if method.hard_fraction == 1 or (student.steps >= FEW_STEPS and left >= FEW_KEPT):
        return None
    return (
        f"selection keeps {left} of {student.batch * sources} images for {student.steps} steps; below {FEW_KEPT} kept or "
        f"{FEW_STEPS} steps it learns less than the whole batch would: raise `batch` or `steps`"
    )
