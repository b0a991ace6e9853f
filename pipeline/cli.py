"""`scmd`: arguments → a stage; a named error → one sentence and exit code 1."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline import experiment
from pipeline.errors import ScmdError
from pipeline.progress import say

app = typer.Typer(
    help="Selective Cross-Modality Distillation in two offline stages: a teacher cache, then students that learn from it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ExperimentFile = Annotated[Path, typer.Option("--experiment", help="The experiment's configuration.")]
Workers = Annotated[int, typer.Option(min=0, help="Processes that decode and draw (0: none beside the main one).")]
Results = Annotated[Path, typer.Option(help="Where students and the report go.")]

DEFAULT = Path("configs/experiment.yaml")
RESULTS = Path("results")
CORES = min(os.cpu_count() or 1, 8)


@app.command()
def samples(experiment_file: ExperimentFile = DEFAULT) -> None:
    """Read every image once: a table with a row a sample, and a quarantine list with reasons."""
    from pipeline.stages import run_samples

    run_samples(experiment.load(experiment_file))


@app.command()
def teacher(experiment_file: ExperimentFile = DEFAULT, workers: Workers = CORES) -> None:
    """Stage one: run CLIP once over every view and prompt, or over what a cache still lacks."""
    from pipeline.stages import run_teacher

    run_teacher(experiment.load(experiment_file), workers)


@app.command()
def pixels(experiment_file: ExperimentFile = DEFAULT, workers: Workers = CORES) -> None:
    """Render the recorded views once at the student's size."""
    from pipeline.stages import run_pixels

    run_pixels(experiment.load(experiment_file), workers)


@app.command()
def student(
    held_out: Annotated[str, typer.Option(help="The domain that training never sees.")],
    method: Annotated[str, typer.Option(help="A method that the experiment has settings for.")],
    trial: Annotated[int, typer.Option(min=0, help="Seed of split, initial weights and data order.")] = 0,
    experiment_file: ExperimentFile = DEFAULT,
    results: Results = RESULTS,
) -> None:
    """Stage two: train one student against the cache and measure it. No teacher is loaded."""
    from pipeline.stages import run_student

    run_student(experiment.load(experiment_file), results, held_out, method, trial)


@app.command()
def report(experiment_file: ExperimentFile = DEFAULT, results: Results = RESULTS) -> None:
    """The table of all finished trials of an experiment."""
    from pipeline.stages import run_report

    run_report(experiment.load(experiment_file), results)


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except ScmdError as error:
        say(f"scmd: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        say("scmd: stopped; the same command goes on from what is finished")
        sys.exit(130)


if __name__ == "__main__":
    main()
