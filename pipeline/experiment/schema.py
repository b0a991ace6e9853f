"""`configs/experiment.yaml`: which data set, teacher, student, methods and trials. Checks what the file tells on its own."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from pipeline import methods, package
from pipeline.config import Section
from pipeline.errors import ConfigError
from pipeline.methods import METHODS, NAMED
from pipeline.methods.settings import MethodSettings
from pipeline.samples.names import LONGEST, fault_of_folder
from pipeline.trials.key import TrialKey

# A method's name in tables is also a folder's.
_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9_+-]*")


class PixelSettings(Section):
    """The side of the student's square pictures; what of them is stored, `max_gb` says."""

    size: int = Field(ge=8)
    """The side of the student's square pictures."""
    max_gb: float = Field(8.0, ge=0)
    """All views are stored where they take no more than this, else the clean one where it does; others are drawn in training."""


class Matrix(Section):
    """The trials: every held-out domain with every method and trial number."""

    held_out: tuple[str, ...] = Field(min_length=1)
    """Domains that are held out, one a trial."""
    method: tuple[str, ...] = Field(min_length=1)
    """Names under `methods`."""
    trial: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = Field(min_length=1)
    """Numbers that seed split, initial weights and data order."""
    hparams: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = Field((0,), min_length=1)
    """Hyperparameter seeds: 0 is the settings as they are written, others draw from DomainBed's ranges (docs/choosing.md); tables
    show of each trial the one of the highest validation accuracy."""

    @field_validator("held_out", "method", "trial", "hparams")
    @classmethod
    def _each_once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if twice := [value for value in values if values.count(value) > 1]:
            raise ValueError(f"names `{twice[0]}` twice")
        return values


class Experiment(Section):
    """`images` repeats the data set's root, since DVC must know which files to watch.

    A key of `methods` is the name that tables show; its settings say which `method` it is, where that is another name.
    """

    dataset: str
    """A file of `datasets/`, beside the experiment's or shipped."""
    images: Path
    """The data set's `root` once more, as DVC must know which files to watch."""
    teacher: str
    """A file of `teachers/`."""
    student: str
    """A file of `students/`."""
    pixels: PixelSettings
    """The student's pictures."""
    matrix: Matrix
    """Which trials."""
    methods: dict[str, dict[str, Any]]
    """Name in tables → settings; `method` says which it is, where the name is another."""

    @field_validator("dataset", "teacher", "student")
    @classmethod
    def _names_of_folders(cls, name: str) -> str:
        if fault := fault_of_folder(name):
            raise ValueError(f"{fault}; folders of the cache and of trials are called so")
        return name

    @field_validator("images")
    @classmethod
    def _written_out(cls, images: Path) -> Path:
        if str(images).startswith("~"):
            raise ValueError("write the path out, as DVC does not know `~`")
        return package.own(images)

    @field_validator("methods")
    @classmethod
    def _known_methods(cls, methods: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        faults = []
        for name, values in methods.items():
            try:
                parse_method(name, values)
            except ConfigError as error:
                faults.append(str(error))
        if faults:
            raise ValueError("; ".join(faults))
        return methods

    @model_validator(mode="after")
    def _methods_have_settings(self) -> "Experiment":
        lacking = [name for name in self.matrix.method if name not in self.methods]
        if lacking:
            raise ValueError(f"matrix.method names `{lacking[0]}`, for which `methods` has no settings")
        return self

    def method(self, name: str) -> tuple[str, MethodSettings]:
        """Which method a name stands for, and its settings. Raises ConfigError where the experiment has none for it."""
        if name not in self.methods:
            raise ConfigError(f"method `{name}` has no settings under `methods` ({', '.join(self.methods)} have)")
        return parse_method(name, self.methods[name])

    def key(self, held_out: str, method: str, trial: int, hparams_seed: int = 0) -> TrialKey:
        """Of a trial, by default with the settings as they are written."""
        return TrialKey(self.student, held_out, method, hparams_seed, trial)

    def trials(self) -> list[TrialKey]:
        """All of one trial number before the next."""
        matrix = self.matrix
        return [
            self.key(domain, method, number, seed)
            for number in matrix.trial
            for seed in matrix.hparams
            for domain in matrix.held_out
            for method in matrix.method
        ]


def parse_method(name: str, values: dict[str, Any]) -> tuple[str, MethodSettings]:
    """An entry of `methods`. Raises ConfigError for a name that is no folder's, an unknown method and faulty settings."""
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        raise ConfigError(
            f"method name `{name[:LONGEST]}`: up to {LONGEST} letters, digits, `_`, `+` and `-` make a name, as it is a "
            "folder's, too"
        )
    method = values.get("method", name)
    if not isinstance(method, str) or method not in {**METHODS, **NAMED}:
        raise ConfigError(f"method `{method}` is unknown (known: {', '.join([*METHODS, *NAMED])})")
    method, settings = methods.named(method, {key: value for key, value in values.items() if key != "method"})
    return method, methods.parse(method, settings, name)
