"""An experiment's configurations, read from beside its file, and where everything of it lies, relative to the working folder."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from pipeline import config
from pipeline.errors import ConfigError
from pipeline.experiment.schema import Experiment
from pipeline.samples.dataset import DatasetSettings
from pipeline.teacher.settings import TeacherSettings
from pipeline.trials.settings import StudentSettings

DEFAULT = Path("configs/experiment.yaml")


@dataclass(frozen=True)
class Plan:
    """An experiment with its three configurations."""

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
        """Of all stores of pictures of this size, one for each kind of views."""
        return self.samples_folder / f"pixels-{self.experiment.pixels.size}"


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
