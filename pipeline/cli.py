"""`scmd`: arguments → a stage; a named error → one sentence and exit code 1. Torch and the stages are imported when they run."""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline import api, ending, package
from pipeline.errors import InputError
from pipeline.experiment import DEFAULT, RESULTS
from pipeline.progress import COMMAND_DONE, QUIET, TALK, VERBOSE, WITHIN, say

if TYPE_CHECKING:
    from pipeline.cluster.cluster import Cluster
    from pipeline.experiment.places import Plan

app = typer.Typer(
    help="Selective Cross-Modality Distillation in two offline stages: a teacher cache, then students that learn from it.",
    no_args_is_help=True,
    epilog="Exit codes: 0 done, 1 an error or a failed check, 2 wrong arguments, 130 Ctrl-C, 128 + n signal n.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # it would take `[icons]` for markup
)


@app.callback()
def before_all(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", envvar=ending.DEBUG, help="Show the traceback beneath an error's sentence.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say results, warnings and errors alone.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Say more, as each evaluation of a trial.")] = False,
) -> None:
    """What every command does first."""
    package.require_own_folder()
    ending.listen(STOPPED.get(context.invoked_subcommand or "", NOTHING_KEPT))
    if debug:
        os.environ[ending.DEBUG] = "1"  # for the trials that `students` starts, too
    if quiet and verbose:
        raise InputError("`--quiet` and `--verbose` exclude each other")
    if quiet or verbose:
        os.environ[TALK] = QUIET if quiet else VERBOSE


ExperimentFile = Annotated[Path, typer.Option("--experiment", help="The experiment's configuration.")]
Workers = Annotated[
    int | None,
    typer.Option(
        min=0, help="Processes that decode and draw (0: none beside the main one); by default what the work is worth."
    ),
]
Results = Annotated[Path, typer.Option(help="Where students and the report go.")]
PlanTrials = Annotated[
    bool,
    typer.Option("--plan", help="Say which trials would run and how long, by a few timed steps of each; run none."),
]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, help="Trials that run at the same time; by default one a GPU, or one a core, 8 at most."),
]


class EngineName(StrEnum):
    """Where a command has its work done."""

    local = "local"
    ray = "ray"


EngineOption = Annotated[
    EngineName, typer.Option("--engine", help="This machine, or a Ray cluster (`pip install 'scmd[ray]'`).")
]
Address = Annotated[
    str | None,
    typer.Option(help="Of the Ray cluster that runs, or `RAY_ADDRESS`; without, Ray is started here for the command."),
]
GpusPerTrial = Annotated[
    float | None,
    typer.Option(
        min=0, help="With Ray, the share of a GPU that a trial has (0.25: four on each); by default a whole one."
    ),
]

EVERYWHERE = ("--debug", "--quiet", "--verbose")
NOTHING_KEPT = "nothing was written"
# What is true when a command is stopped.
STOPPED = {
    "teacher": "finished blocks are kept, and the same command goes on from them",
    "pixels": "the pictures that were there are kept, those of this run are not; the same command renders them",
    "student": "its last checkpoint is kept, where there is one, and the same command goes on from there",
    "students": "finished trials and checkpoints are kept, and the same command goes on from them",
    "soups": "finished soups are kept; the same command makes all anew",
    "run": "finished blocks and trials are kept, and the same command goes on from them",
    "export": "an earlier export is as it was; the same command begins again",
    "predict": "no file was written",
    "cache": "what is repaired stays; reading changed nothing",
    "icons": "the same command goes on from the last checkpoint where there is one, or begins again",
}


@contextmanager
def _extra(name: str) -> Iterator[None]:
    """Raises InputError where what is imported within belongs to an extra that is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(f"`{error.name}` is not installed; run `pip install 'scmd[{name}]'`") from error


def _cluster(
    engine: EngineName, address: str | None, gpus_per_trial: float | None = None, jobs: int | None = None
) -> "Cluster | None":
    """Raises InputError where an option of a cluster comes without one, or the other way round, or Ray is not installed."""
    if engine is EngineName.local:
        if address is not None or gpus_per_trial is not None:
            raise InputError("`--address` and `--gpus-per-trial` are for `--engine ray`")
        return None
    if jobs is not None:
        raise InputError(
            "`--jobs` is for this machine; a cluster runs as many trials as `--gpus-per-trial` leaves room for"
        )
    with _extra("ray"):
        from pipeline.cluster.cluster import Cluster
    return Cluster(address, gpus_per_trial)


def _require_here(engine: EngineName, address: str | None, gpus_per_trial: float | None) -> None:
    """Raises InputError where a plan, which times steps on this machine, is asked of a cluster."""
    if engine is not EngineName.local or address is not None or gpus_per_trial is not None:
        raise InputError(
            "`--plan` times steps on this machine, and says nothing of a cluster; leave `--engine` and its options out"
        )


def rehearsed(experiment_file: Path, results: Path | None = None) -> "Plan":
    """An experiment of which all that can be tried before the work has been tried."""
    from pipeline.experiment import rehearsal

    plan = api.load_experiment(experiment_file)
    rehearsal.rehearse(plan, results)
    return plan


def say_how_to_keep(stage: str, experiment_file: Path, results: Path | None = None) -> None:
    """Of DVC's own experiment, run outside DVC: it takes what it does not know for rubbish at the next checkout."""
    ours = experiment_file == DEFAULT and results in (None, RESULTS)
    if ours and Path("dvc.yaml").is_file() and Path(".dvc").is_dir() and not {"DVC_STAGE", WITHIN} & os.environ.keys():
        say(f"this ran outside DVC, whose checkouts (`dvc exp run`) remove it: `dvc commit -f {stage}` keeps it")


@app.command()
def init(
    images: Annotated[Path, typer.Argument(help="A folder with <domain>/<class>/<image>.")],
    teacher: Annotated[str | None, typer.Option(help="A shipped teacher's name.")] = None,
    student: Annotated[str | None, typer.Option(help="A shipped student's name.")] = None,
    size: Annotated[int | None, typer.Option(min=8, help="The side of the student's pictures.")] = None,
) -> None:
    """Look at a folder of images, say what it holds, and make this folder a project that is ready for `dvc repro`."""
    from pipeline.stages import init as stage

    stage.run(images, teacher, student, size)


@app.command()
def doctor(experiment_file: ExperimentFile = DEFAULT) -> None:
    """Check versions, GPU, disk, locks, weights and the experiment, and say what to do; exit code 1 where a run would stop."""
    from pipeline.stages import doctor as stage

    stage.run(experiment_file)


@app.command()
def samples(
    experiment_file: ExperimentFile = DEFAULT,
    listing: Annotated[bool, typer.Option("--list", help="Name what was set aside, and why; read no image.")] = False,
) -> None:
    """Read every image once: a table with a row a sample, and a list of what makes none, with reasons."""
    if listing:
        from pipeline.stages import samples as stage

        stage.list_set_aside(api.load_experiment(experiment_file))
    else:
        api.make_samples(rehearsed(experiment_file))
        say_how_to_keep("samples", experiment_file)


@app.command()
def teacher(
    experiment_file: ExperimentFile = DEFAULT,
    workers: Workers = None,
    engine: EngineOption = EngineName.local,
    address: Address = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what would be done, in bytes and time; do nothing.")
    ] = False,
) -> None:
    """Stage one: run CLIP once over every view and prompt, or over what a cache still lacks."""
    cluster = _cluster(engine, address)
    if plan:
        from pipeline.stages import teacher as stage

        stage.foretell(rehearsed(experiment_file), workers)
    else:
        api.make_cache(rehearsed(experiment_file), workers, cluster)
        say_how_to_keep("teacher", experiment_file)


@app.command()
def pixels(experiment_file: ExperimentFile = DEFAULT, workers: Workers = None) -> None:
    """Render the recorded views once at the student's size."""
    api.make_pixels(rehearsed(experiment_file), workers)


@app.command()
def student(
    held_out: Annotated[str, typer.Option(help="The domain that training never sees.")],
    method: Annotated[str, typer.Option(help="A name under the experiment's `methods`.")],
    trial: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="Seed of split, initial weights and data order.")
    ] = 0,
    hparams: Annotated[
        int,
        typer.Option(
            min=0, max=2**31 - 1, help="Hyperparameter seed: 0 for the settings as written, others draw them."
        ),
    ] = 0,
    experiment_file: ExperimentFile = DEFAULT,
    results: Results = RESULTS,
) -> None:
    """Stage two, one trial: train a student against the cache and measure it. No teacher is loaded."""
    api.train(api.load_experiment(experiment_file), held_out, method, trial, results, hparams)
    say_how_to_keep("students", experiment_file, results)


@app.command()
def students(
    experiment_file: ExperimentFile = DEFAULT,
    results: Results = RESULTS,
    jobs: Jobs = None,
    engine: EngineOption = EngineName.local,
    address: Address = None,
    gpus_per_trial: GpusPerTrial = None,
    plan: PlanTrials = False,
) -> None:
    """Stage two, the whole experiment: run every trial that is not current, side by side."""
    if plan:
        _require_here(engine, address, gpus_per_trial)
        api.foretell_trials(rehearsed(experiment_file, results), results, jobs)
        return
    cluster = _cluster(engine, address, gpus_per_trial, jobs)
    api.train_all(rehearsed(experiment_file, results), results, jobs, cluster)
    say_how_to_keep("students", experiment_file, results)


@app.command("soups")
def make_soups(experiment_file: ExperimentFile = DEFAULT, results: Results = RESULTS) -> None:
    """Of hyperparameter seeds of one trial number: students of their mean weights, a uniform and a greedy one."""
    from pipeline.stages import soups as stage

    stage.run(api.load_experiment(experiment_file), results)


@app.command()
def report(
    experiment_file: ExperimentFile = DEFAULT,
    results: Results = RESULTS,
    domainbed: Annotated[
        Path | None, typer.Option(help="A DomainBed sweep's output folder, whose runs of this data set join the table.")
    ] = None,
) -> None:
    """The table of all finished trials of an experiment."""
    api.write_report(api.load_experiment(experiment_file), results, domainbed)


@app.command()
def run(
    experiment_file: ExperimentFile = DEFAULT,
    results: Results = RESULTS,
    page: Annotated[
        Path | None, typer.Option(help="A Markdown page with the table, the machine and the duration.")
    ] = None,
    jobs: Jobs = None,
    workers: Workers = None,
    engine: EngineOption = EngineName.local,
    address: Address = None,
    gpus_per_trial: GpusPerTrial = None,
    plan: PlanTrials = False,
) -> None:
    """Every stage of an experiment in turn, without DVC; finished trials of the same settings are kept."""
    if plan:
        _require_here(engine, address, gpus_per_trial)
        api.foretell_trials(rehearsed(experiment_file, results), results, jobs)
        return
    cluster = _cluster(engine, address, gpus_per_trial, jobs)
    api.run_all(rehearsed(experiment_file, results), results, page, jobs, workers, cluster)
    say_how_to_keep("samples teacher pixels students report", experiment_file, results)


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="One of them, for its formula and settings.")] = None,
) -> None:
    """The methods that a student can learn by: name, family, what each needs, source; or all of one."""
    from pipeline.stages import methods as stage

    if name is None:
        stage.listed()
    else:
        stage.told(name)


class Format(StrEnum):
    """What other runtimes read."""

    onnx = "onnx"
    torch = "torch"
    int8 = "int8"


Student = Annotated[Path | None, typer.Option("--student", help="A trial's folder with its card and weights.")]
Best = Annotated[
    bool, typer.Option("--best", help="Take the experiment's trial that is best on its source domains' out splits.")
]


def _require_one(folder: Path | None, best: bool) -> None:
    """Raises InputError unless exactly one of both says which student."""
    if (folder is None) != best:
        raise InputError("say which student: either `--student FOLDER`, or `--best` of an experiment")


def _experiment(what_for: str, file: Path) -> "Plan":
    """Raises InputError outside a project where no experiment is named."""
    if file == DEFAULT and not file.exists():
        raise InputError(
            f"there is no {DEFAULT} here: name the experiment {what_for} by `--experiment`, a file or a shipped one's name"
        )
    return api.load_experiment(file)


@app.command()
def predict(
    images: Annotated[
        list[str] | None,
        typer.Argument(help="Files, folders and patterns; without any, a list of paths on standard input."),
    ] = None,
    student: Student = None,
    best: Best = False,
    to: Annotated[
        Path | None, typer.Option(help="A file (.csv, .jsonl or .parquet) for the answers; else the terminal.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes of each image.")] = 1,
    zero_shot: Annotated[
        str | None, typer.Option(help='Answer by new classes, "a, b, c", that the student was never taught.')
    ] = None,
    workers: Workers = None,
    experiment_file: ExperimentFile = DEFAULT,
    results: Results = RESULTS,
) -> None:
    """What a student says to images: class and probability, and the accuracy where folders name the classes."""
    from pipeline.stages import predict as stage

    _require_one(student, best)
    folder = student or api.best_student(
        api.load_experiment(experiment_file), results, with_projection=zero_shot is not None
    )
    new = None
    if zero_shot is not None:
        new = ([name.strip() for name in zero_shot.split(",")], _experiment("whose teacher speaks", experiment_file))
    stage.run(folder, images or [], to, top, workers, new)


@app.command()
def export(
    to: Annotated[Path, typer.Option(help="A new folder, or an earlier export's.")] = Path("export"),
    format: Annotated[
        list[Format] | None, typer.Option(help="Beside safetensors and cards; may stand several times.")
    ] = None,
    student: Student = None,
    best: Best = False,
    experiment_file: ExperimentFile = DEFAULT,
    results: Results = RESULTS,
) -> None:
    """A student as others use it: safetensors, card and model card; ONNX, torch.export, int8, checked on real images."""
    _require_one(student, best)
    formats = [one.value for one in format or []]
    with _extra("export"):
        folder = student or api.best_student(api.load_experiment(experiment_file), results)
        plan = _experiment("on whose images formats are checked", experiment_file) if formats else None
        api.export_student(folder, to, formats, plan)


benchmark = typer.Typer(help="What things cost on this machine, on made-up data.", no_args_is_help=True)
app.add_typer(benchmark, name="benchmark")
Work = Annotated[Path, typer.Option(help="Where temporary caches and trials are made.")]
WORK = Path("build/benchmark")


@benchmark.command("commands")
def benchmark_commands() -> None:
    """What a command costs that does nothing."""
    from pipeline.stages import benchmark as stage

    stage.commands()


Rounds = Annotated[int, typer.Option(min=2, help="How often each side is measured.")]
Json = Annotated[Path | None, typer.Option("--json", help="A file for the figures.")]


@benchmark.command("cache")
def benchmark_cache(work: Work = WORK, rounds: Rounds = 20, to: Json = None) -> None:
    """Rows and whole columns of a teacher cache beside NumPy, SHA-256, Zarr and Parquet, and what its checks add to writing."""
    from pipeline.stages import benchmark as stage

    stage.cache(work, rounds, to)


@benchmark.command("teacher")
def benchmark_teacher(
    teacher: Annotated[str, typer.Option(help="A shipped teacher's name.")] = "icons",
    work: Work = WORK,
    rounds: Rounds = 20,
    to: Json = None,
) -> None:
    """Stage one beside its two parts, drawing and encoding, and beside the loop that people write, on one core."""
    from pipeline.stages import benchmark as stage

    stage.teacher(teacher, work, rounds, to)


@benchmark.command("stage-two")
def benchmark_stage_two(work: Work = WORK, to: Json = None) -> None:
    """Memory of stage two, and its time to the first step, on a made-up cache of DomainNet's shape (10 GB, removed after)."""
    from pipeline.stages import benchmark as stage

    stage.stage_two(work, to)


@benchmark.command("growth")
def benchmark_growth(work: Work = WORK, to: Json = None) -> None:
    """Memory of stage one on 1,000 to 100,000 images, and what caches of up to a million rows cost (half an hour, 10 GB)."""
    from pipeline.stages import benchmark as stage

    stage.growth(work, to)


@benchmark.command("report")
def benchmark_report(work: Work = WORK) -> None:
    """How long a report of hundreds of trials is made, and opens."""
    from pipeline.stages import benchmark as stage

    stage.page(work)


class Precision(StrEnum):
    """Number formats of a student's backbone."""

    float32 = "float32"
    bfloat16 = "bfloat16"


@benchmark.command("student")
def benchmark_student(
    student: Annotated[str, typer.Option(help="A shipped student's name.")] = "resnet10t",
    size: Annotated[int, typer.Option(min=8, help="The side of its pictures.")] = 32,
    classes: Annotated[int, typer.Option(min=2, help="How many.")] = 20,
    sources: Annotated[int, typer.Option(min=1, help="Source domains; each gives the configuration's `batch`.")] = 4,
    precision: Annotated[
        list[Precision] | None, typer.Option(help="Of the backbone; may stand several times. By default float32.")
    ] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Also with the backbone compiled.")] = False,
    with_teacher: Annotated[
        bool, typer.Option("--with-teacher", help="Also the loop that runs a CLIP ViT-B/32 in each step.")
    ] = False,
    rounds: Rounds = 20,
    to: Json = None,
) -> None:
    """A step of SCMD and of KD beside one of ERM, and what waiting for data adds."""
    from pipeline.stages import benchmark as stage

    ways = precision or [Precision.float32], [False, True] if compiled else [False]
    stage.student(student, (size, classes, sources), *ways, rounds, to, with_teacher=with_teacher)


cache = typer.Typer(help="A teacher cache on its own: what it is, whether it is whole, how it is mended.")
app.add_typer(cache, name="cache")
Folder = Annotated[Path | None, typer.Argument(help="A teacher cache; the experiment's own if not given.")]


# Views that one looks at again.
MOST = 1_000_000


def _folder(folder: Path | None, experiment_file: Path) -> Path:
    return folder or api.load_experiment(experiment_file).cache_folder


@cache.command("info")
def cache_info(folder: Folder = None, experiment_file: ExperimentFile = DEFAULT) -> None:
    """What made a cache, its shape, size and completeness, its digests."""
    from pipeline.stages import caches as stage

    stage.info(_folder(folder, experiment_file))


@cache.command("diff")
def cache_diff(
    one: Annotated[Path, typer.Argument(help="A teacher cache.")],
    other: Annotated[Path, typer.Argument(help="Another one.")],
) -> None:
    """How two caches differ, in words."""
    from pipeline.stages import caches as stage

    stage.diff(one, other)


@cache.command("verify")
def cache_verify(
    folder: Folder = None,
    experiment_file: ExperimentFile = DEFAULT,
    replay: Annotated[int, typer.Option(min=0, max=MOST, help="Random views to draw again from the images.")] = 0,
    against_teacher: Annotated[int, typer.Option(min=0, max=MOST, help="Random views to encode again.")] = 0,
) -> None:
    """Read all of a cache and name every damaged, missing, swapped or stale file; exit code 1 where there is one."""
    from pipeline.stages import caches as stage

    place = _folder(folder, experiment_file)
    stage.verified(place)
    if replay or against_teacher:
        from pipeline.stages import cache_checks

        plan = api.load_experiment(experiment_file)
        cache_checks.draw_again(plan, place, replay)
        cache_checks.encode_again(plan, place, against_teacher)


@cache.command("repair")
def cache_repair(experiment_file: ExperimentFile = DEFAULT, workers: Workers = None) -> None:
    """Compute what is damaged again, and nothing else, with the teacher and images of the experiment."""
    from pipeline.stages import cache_checks as stage

    stage.repaired(api.load_experiment(experiment_file), workers)
    say_how_to_keep("teacher", experiment_file)


Exact = Annotated[
    int, typer.Option("--exact-up-to", min=0, help="Rows up to which the search is exact; above, it is approximate.")
]
EXACT_UP_TO = 1_000_000


@cache.command("search")
def cache_search(
    text: Annotated[str | None, typer.Option(help="What the pictures should show, as it stands.")] = None,
    image: Annotated[Path | None, typer.Option(help="A picture to find the like of.")] = None,
    sample: Annotated[str | None, typer.Option(help="The key of a sample, or the beginning of its id.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=MOST, help="How many.")] = 12,
    sheet: Annotated[Path, typer.Option(help="The contact sheet of what was found, PNG.")] = Path("contact-sheet.png"),
    copies: Annotated[Path | None, typer.Option(help="A folder for copies, <domain>/<class>/<image>.")] = None,
    exact_up_to: Exact = EXACT_UP_TO,
    experiment_file: ExperimentFile = DEFAULT,
) -> None:
    """The samples nearest to a text, an image or a sample by the teacher's features."""
    from pipeline.stages import queries as stage

    plan = api.load_experiment(experiment_file)
    asked = stage.opened(plan, exact_up_to)
    stage.search(plan, asked, stage.question(plan, asked, text, image, sample), k, sheet, copies)


@cache.command("probe")
def cache_probe(
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="Neighbours that vote.")] = 10,
    experiment_file: ExperimentFile = DEFAULT,
) -> None:
    """k-NN accuracy of the teacher's features, within each domain and across domains."""
    from pipeline.stages import queries as stage

    stage.probed(stage.opened(api.load_experiment(experiment_file)), k)


@cache.command("duplicates")
def cache_duplicates(
    near: Annotated[float, typer.Option(min=0.5, max=1, help="The least cosine of near duplicates' features.")] = 0.95,
    alike: Annotated[float, typer.Option(min=0, max=1, help="The least correlation of their pixels.")] = 0.95,
    exclude: Annotated[Path | None, typer.Option(help="Where the keys to leave out are written.")] = None,
    exact_up_to: Exact = EXACT_UP_TO,
    experiment_file: ExperimentFile = DEFAULT,
) -> None:
    """Pictures that stand twice, exactly or nearly; exit code 1 where a held-out domain's also stands in a source."""
    from pipeline.stages import queries as stage

    plan = api.load_experiment(experiment_file)
    asked = stage.opened(plan, exact_up_to)
    stage.repeated(plan, stage.pairs(plan, asked, near, alike), asked.samples, exclude)


@cache.command("doubtful")
def cache_doubtful(
    held_out: Annotated[
        str | None, typer.Option(help="A domain that is left out, in place of those that the experiment holds out.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Neighbours that have a say.")] = 20,
    below: Annotated[float, typer.Option(min=0, max=1, help="List labels that a smaller share of them has.")] = 0.1,
    exclude: Annotated[Path | None, typer.Option(help="Where the keys to leave out are written.")] = None,
    experiment_file: ExperimentFile = DEFAULT,
) -> None:
    """Samples whose label few of their nearest have, by the teacher's features: worst first, with what their neighbours say."""
    from pipeline.stages import doubtful as stage

    stage.listed(api.load_experiment(experiment_file), held_out, k, below, exclude)


icons = typer.Typer(help="How the embedded data set and its teacher were made (needs `pip install scmd[icons]`).")
app.add_typer(icons, name="icons")
Package = Annotated[Path, typer.Argument(help="The unpacked npm package @iconify/json.")]


def _icons_stage() -> Any:
    with _extra("icons"):
        from pipeline.stages import icons as stage
    return stage


@icons.command("build")
def icons_build(package: Package) -> None:
    """Make the data set's Parquet from the icon package."""
    _icons_stage().run_build(package)


@icons.command("pretrain")
def icons_pretrain(
    package: Package,
    work: Annotated[Path, typer.Option(help="Where the checkpoint lies while it trains.")] = Path("build/icons"),
) -> None:
    """Train the icons teacher on the other sets of the package (some 70 minutes on two cores)."""
    _icons_stage().run_pretrain(package, work)


@icons.command("measure")
def icons_measure() -> None:
    """Zero-shot and linear-probe accuracy of the icons teacher on the data set."""
    _icons_stage().run_measure()


def main() -> None:
    """Entry point of the console script. What is for every command may stand anywhere."""
    with ending.told():
        ending.listen(NOTHING_KEPT)
        app(sorted(sys.argv[1:], key=lambda one: one not in EVERYWHERE))


def serve() -> None:
    """Commands on standard input, each a list of arguments as JSON in a line, until one fails: for `side_by_side`. One that runs
    while whoever gives them is gone, as a process that is killed, is stopped."""
    commands: SimpleQueue[bytes] = SimpleQueue()
    running = threading.Event()
    threading.Thread(target=_receive, args=(commands, running), daemon=True).start()
    while line := commands.get():
        with ending.told():
            try:
                app(json.loads(line))
            except SystemExit as ended:
                if ended.code:
                    raise
        running.clear()
        print(COMMAND_DONE, file=sys.stderr, flush=True)


def _receive(commands: SimpleQueue[bytes], running: threading.Event) -> None:
    # Without a buffer, as a thread that waits for one would keep the process from ending.
    with open(0, "rb", buffering=0, closefd=False) as given:
        for line in given:
            running.set()
            commands.put(line)
    if running.is_set():
        os.kill(os.getpid(), signal.SIGTERM)
    commands.put(b"")


if __name__ == "__main__":
    main()
