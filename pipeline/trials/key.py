"""What tells a trial from all others of a data set and a teacher, and its folder."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrialKey:
    """`method` is the name that the experiment gives it; hyperparameter seed 0 means the settings as they are written."""

    student: str
    held_out: str
    method: str
    hparams_seed: int
    trial: int

    @property
    def cell(self) -> tuple[str, str, int]:
        """What trials of several hyperparameter seeds have in common."""
        return self.held_out, self.method, self.trial

    def folder(self, results: Path) -> Path:
        """Where its files go, below a results folder."""
        seeds = f"hparams-{self.hparams_seed}", f"trial-{self.trial}"
        return results.joinpath("trials", self.student, self.held_out, self.method, *seeds)

    def soup_folder(self, results: Path, rule: str) -> Path:
        """Where the soup of all hyperparameter seeds goes that it is one of."""
        return results.joinpath("soups", self.student, self.held_out, self.method, rule, f"trial-{self.trial}")

    @property
    def arguments(self) -> tuple[str, ...]:
        """By which `scmd student` is told which trial of an experiment it is."""
        drawn = ("--hparams", str(self.hparams_seed)) if self.hparams_seed else ()
        return ("--held-out", self.held_out, "--method", self.method, "--trial", str(self.trial), *drawn)

    def __str__(self) -> str:
        hparams = f", hyperparameters {self.hparams_seed}" if self.hparams_seed else ""
        return f"{self.method}, {self.held_out} held out, trial {self.trial}{hparams}"
