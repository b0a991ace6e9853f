"""An experiment's configurations, read from beside its file, and where everything of it lies, relative to the working folder."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from pipeline import config, package
from pipeline.errors import ConfigError, InputError
from pipeline.experiment import DEFAULT, RESULTS
from pipeline.experiment.schema import Experiment
from pipeline.samples.dataset import DatasetSettings
from pipeline.teacher.settings import TeacherSettings
from pipeline.trials.settings import StudentSettings


@dataclass(frozen=True)
class Plan:
    """An experiment with its three configurations."""

    file: Path
    experiment: Experiment
    dataset: DatasetSettings
    teacher: TeacherSettings
    student: StudentSettings

    def command(self, stage: str, results: Path = RESULTS) -> str:
        """How a user calls a stage of this experiment."""
        file = [] if self.file == DEFAULT else ["--experiment", str(self.file)]
        place = [] if results == RESULTS else ["--results", str(results)]
        return shlex.join(["scmd", stage, *file, *place])

    @property
    def samples_folder(self) -> Path:
        """Of everything that is made from the data set."""
        return Path("cache") / self.experiment.dataset

    @property
    def cache_folder(self) -> Path:
        """Where it is a link, as to another disk, what that leads to: a writer puts files in and beside it."""
        folder = self.samples_folder / self.experiment.teacher
        return folder.resolve() if folder.is_symlink() else folder

    @property
    def pixels_folder(self) -> Path:
        """Of all stores of pictures of this size, one for each kind of views."""
        return self.samples_folder / f"pixels-{self.experiment.pixels.size}"


def load(file: Path) -> Plan:
    """Reads an experiment, a file or the name of a shipped one, and the configurations that it names: from the folders beside it,
    or those that ship with the package. Raises ConfigError for what is missing or wrong."""
    file = _shipped(file)
    _require_here(file)
    if file == DEFAULT and not file.exists():
        raise ConfigError(
            f"{file}: no such file here; go to the project's folder, or make this one a project with `scmd init IMAGES`"
        )
    experiment = config.load(file, Experiment)
    plan = Plan(
        file,
        experiment,
        config.load(_beside(file, "datasets", experiment.dataset), DatasetSettings),
        config.load(_beside(file, "teachers", experiment.teacher), TeacherSettings),
        config.load(_beside(file, "students", experiment.student), StudentSettings),
    )
    if plan.dataset.root != experiment.images:
        raise ConfigError(
            f"{file}: `images` is {experiment.images}, but the data set `{experiment.dataset}` has its `root` at "
            f"{plan.dataset.root}; write the same path in both, as DVC watches `images`"
        )
    return plan


def _shipped(file: Path) -> Path:
    """A bare name, without suffix, of which there is no file here is that of a shipped experiment."""
    shipped = package.configuration(f"{file}.yaml")
    return shipped if file.name == str(file) and not file.suffix and not file.exists() and shipped.is_file() else file


def _beside(file: Path, kind: str, name: str) -> Path:
    """A configuration of the experiment's own, or the shipped one of this name; raises ConfigError where there is neither."""
    folder = file.parent / kind
    own, shipped = folder / f"{name}.yaml", package.configuration(f"{kind}/{name}.yaml")
    if own.is_file() or shipped.is_file():
        return own if own.is_file() else shipped
    there = sorted({one.stem for place in (folder, shipped.parent) for one in place.glob("*.yaml")})
    raise ConfigError(
        f"{file}: `{kind.removesuffix('s')}: {name}` names {own}, and there is no such file, nor one of this name that ships "
        f"with scmd; those there are: {', '.join(there)}"
    )


def _require_here(file: Path) -> None:
    """Raises InputError where the experiment is another project's: all paths count from the working folder, and a second
    cache would be made here."""
    project = file.absolute().parent.parent
    if file.is_absolute() and (project / "cache").is_dir() and project != Path.cwd() and project != package.HOME:
        raise InputError(
            f"{file} belongs to the project in {project}, which has its own `cache`; run the command there"
        )
