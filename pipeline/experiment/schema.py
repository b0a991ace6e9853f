"""What an experiment's files say: data set, teacher, student, methods and trials. Checks what one file tells on its own."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from pipeline import config
from pipeline.averaging import AveragingSettings
from pipeline.config import Section
from pipeline.errors import ConfigError
from pipeline.methods import METHODS
from pipeline.methods.settings import MethodSettings
from pipeline.samples.splits import SplitSettings
from pipeline.student import ModelSettings
from pipeline.training import OptimiserSettings


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
