"""The long form of the fault cases: `make faults` runs all of it on two cores and writes the table of what it found."""

import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pipeline import package
from pipeline.journal import machine
from pipeline.writing import replace_text
from tests.conftest import configurations, make_tiny_teacher, ok, write_configurations, write_images
from tests.faults import borders, cases, live, reading, scenes, small, trials
from tests.faults.scenes import Verdict
from tests.test_dvc import make_repository

SEEDS = (0, 1)
# What parts found, so that a second call goes on.
KEPT = Path("build/faults.json")
Work = Callable[[Path], Iterator[Verdict]]


@dataclass(frozen=True)
class Part:
    """A part of a case that one process does, in an empty folder."""

    case: str
    work: Work
    seed: int | None = None


def _in_scene(room: Path, case: Callable[..., Iterator[Verdict]], name: str, **options) -> Iterator[Verdict]:
    return case(scenes.scene(name, room / "scene"), room / "work", **options)


def _flipped(room: Path, half: int) -> Iterator[Verdict]:
    return cases.flipped(scenes.large(room / "cache"), lambda bits: np.arange(half, bits, 2))


def _misplaced(room: Path) -> Iterator[Verdict]:
    return cases.misplaced(scenes.large(room / "cache"), scenes.large(room / "other", seed=1), step=1)


def _torn_at_rest(room: Path) -> Iterator[Verdict]:
    return cases.torn_at_rest(scenes.large(room / "cache"), np.random.default_rng(0))


def _writers(room: Path) -> Iterator[Verdict]:
    return cases.writers(room / "cache", 8, 1000)


def _locks(room: Path) -> Iterator[Verdict]:
    return cases.locks(room, 50)


def _mutated(room: Path, count: int, seed: int) -> Iterator[Verdict]:
    small.build(room / "cache", count=5, views=2)
    return cases.mutated(room / "cache", count, np.random.default_rng(seed))


def _read_only(room: Path) -> Iterator[Verdict]:
    return cases.read_only(scenes.scene("extended", room))


def _flipped_for_the_command(room: Path) -> Iterator[Verdict]:
    return cases.flipped_for_the_command(scenes.large(room / "cache"), 200, np.random.default_rng(0))


def _project(room: Path) -> Path:
    """A folder of images with its configurations and its samples table."""
    make_tiny_teacher(room / "teacher")
    write_images(room / "project/images")
    write_configurations(room / "project", configurations(room / "teacher"))
    ok("samples", cwd=room / "project")
    return room / "project"


def _live(room: Path, count: int, seed: int) -> Iterator[Verdict]:
    return live.killed(_project(room), live.TEACHER, count, np.random.default_rng(seed))


def _repro(room: Path, count: int, seed: int) -> Iterator[Verdict]:
    """DVC runs the code of its own folder."""
    make_tiny_teacher(room / "teacher")
    project = make_repository(room / "project", room / "teacher")
    return live.killed(project, live.REPRO, count, np.random.default_rng(seed))


def _starved(room: Path) -> Iterator[Verdict]:
    return live.starved(_project(room), 100)


def _repaired(room: Path, seed: int) -> Iterator[Verdict]:
    return live.repaired(_project(room), 1, np.random.default_rng(seed))


def _trials(room: Path, name: str, count: int, seed: int) -> Iterator[Verdict]:
    return trials.killed(room, name, count, np.random.default_rng(seed))


def _bordered(room: Path, case: Callable[..., Iterator[Verdict]], count: int, seed: int) -> Iterator[Verdict]:
    return case(room, count, np.random.default_rng(seed))


def _exif(room: Path, count: int, seed: int) -> Iterator[Verdict]:  # noqa: ARG001
    return borders.exif(count, np.random.default_rng(seed))


def _pictures(room: Path, count: int, seed: int) -> Iterator[Verdict]:  # noqa: ARG001
    return borders.pictures(count, np.random.default_rng(seed))


def _backbones(room: Path, part: int) -> Iterator[Verdict]:  # noqa: ARG001
    return borders.every_backbone(part, 2)


def of_borders() -> Iterator[Part]:
    """What files of strangers do where they enter."""
    for part in (0, 1):
        yield Part("every backbone of timm up to 50 million parameters, one step", partial(_backbones, part=part))
    for seed in SEEDS:
        yield Part("EXIF, fuzzed, on sound pictures", partial(_exif, count=30_000, seed=seed), seed)
        yield Part("image files, mutated", partial(_pictures, count=30_000, seed=seed), seed)
        for what, case in (
            ("Parquet", borders.tables),
            ("weights", borders.weight_files),
            ("YAML", borders.configurations),
        ):
            yield Part(f"{what}, mutated", partial(_bordered, case=case, count=20_000, seed=seed), seed)
    yield Part("row groups over 2 GiB", borders.wide)


def parts() -> list[Part]:
    """The longest first, so that both cores are busy to the end."""
    numbers = {seed: np.random.default_rng(seed) for seed in SEEDS}
    todo = [*of_borders()]
    todo += [Part("14 mutated caches", partial(_mutated, count=100_000, seed=seed), seed) for seed in SEEDS]
    todo += [
        Part("`scmd teacher` killed at random moments", partial(_live, count=50, seed=0), 0),
        Part("`dvc repro` killed at random moments", partial(_repro, count=20, seed=0), 0),
    ]
    todo += [
        Part("trials killed, in updates and in checkpoints", partial(_trials, name=name, count=34, seed=0), 0)
        for name in trials.METHODS
    ]
    todo.append(Part("17 `scmd teacher` with too little memory", _starved))
    todo += [Part("10 flipped bits, every one", partial(_flipped, half=half)) for half in (0, 1)]
    for name in scenes.NAMES:
        todo.append(Part("1 killed at calls", partial(_in_scene, case=cases.killed_at_calls, name=name, step=1)))
        todo.append(
            Part(
                "5 ENOSPC and EIO", partial(_in_scene, case=cases.refused, name=name, step=2, faults=("ENOSPC", "EIO"))
            )
        )
        todo.append(Part("5 a disk that is full", partial(_in_scene, case=cases.disk_full, name=name, step=1)))
        memory = partial(_in_scene, case=cases.refused, name=name, step=4, faults=("MemoryError",))
        todo.append(Part("17 MemoryError at calls", memory))
        for seed, random in numbers.items():
            given = {"name": name, "random": random}
            todo.append(
                Part("2 killed again", partial(_in_scene, case=cases.killed_while_resuming, count=50, **given), seed)
            )
            todo.append(Part("4 power lost", partial(_in_scene, case=cases.power_lost, count=200, **given), seed))
            todo.append(Part("7 clocks moved", partial(_in_scene, case=cases.clocks, **given), seed))
    todo.append(Part("3 torn files", partial(_in_scene, case=cases.torn, name="new", random=numbers[0]), 0))
    todo.append(Part("3 torn files, a large cache", _torn_at_rest, 0))
    todo.append(Part("8 eight writers × 1,000 rounds", _writers))
    for name in (*scenes.GROWING, "replaced"):
        beside = partial(_in_scene, case=reading.while_written, name=name, step=1)
        todo.append(Part("8 readers during a write", beside))
    todo += [Part("10 flipped bits, repaired", partial(_repaired, seed=seed), seed) for seed in SEEDS]
    todo.append(Part("6 read-only folders", _read_only))
    todo.append(Part("10 flipped bits, by the command", _flipped_for_the_command, 0))
    todo.append(Part("9 locks left behind", _locks))
    todo.append(Part("11 missing, swapped, doubled, stale", _misplaced))
    return todo


@dataclass(frozen=True)
class Found:
    """What a part found: faults injected, those that went unnoticed in words, seconds; `broken` where the part itself failed."""

    injected: int
    silent: tuple[str, ...]
    seconds: float
    broken: str = ""


def _done(part: Part) -> Found:
    """Memory serves as its disk: syncing is what is watched."""
    started, injected, silent, broken = time.monotonic(), 0, [], ""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as room:
        try:
            for verdict in part.work(Path(room)):
                injected += 1
                silent += [verdict] if verdict else []
        except Exception:
            broken = traceback.format_exc()
    return Found(injected, tuple(silent), time.monotonic() - started, broken)


def _kept(code: str) -> dict[int, Found]:
    """What an earlier call of the same code found, by the part's number."""
    if not KEPT.exists():
        return {}
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    return {int(at): Found(**one) for at, one in kept["found"].items()} if kept["code"] == code else {}


def main(page: Path) -> int:
    """Runs every part that no earlier call of this code has, two at a time; the table goes to `page` where none broke. Returns
    the number of silent errors and broken parts."""
    todo, code = parts(), package.digest()
    found = _kept(code)
    with ProcessPoolExecutor(2) as pool:
        running = {pool.submit(_done, part): at for at, part in enumerate(todo) if at not in found}
        for future in as_completed(running):
            at, one = running[future], future.result()
            print(
                f"{todo[at].case}: {one.injected:,} faults, {len(one.silent)} silent errors, {one.seconds:.0f} s",
                flush=True,
            )
            print("".join(f"  {said}\n" for said in (*one.silent[:5], one.broken) if said), end="", flush=True)
            if not one.broken:
                found[at] = one
                KEPT.parent.mkdir(exist_ok=True)
                replace_text(
                    KEPT, json.dumps({"code": code, "found": {key: asdict(value) for key, value in found.items()}})
                )
    broken = len(todo) - len(found)
    if not broken:
        page.write_text(_page([(part, found[at]) for at, part in enumerate(todo)]), encoding="utf-8")
    return broken + sum(len(one.silent) for one in found.values())


def _page(done: list[tuple[Part, Found]]) -> str:
    rows = []
    for case in dict.fromkeys(part.case for part in parts()):
        mine = [(part, one) for part, one in done if part.case == case]
        seeds = ", ".join(str(s) for s in sorted({part.seed for part, _ in mine if part.seed is not None})) or "none"
        injected, silent = sum(one.injected for _, one in mine), sum(len(one.silent) for _, one in mine)
        rows.append(f"| {case} | {injected:,} | {silent} | {seeds} |")
    return "\n".join(
        [
            "# Reliability of the teacher cache",
            "",
            "Faults injected on purpose, and how many of them went unnoticed. `tests/faults` says of each case, by its number,",
            "what is injected and what must follow; the test suite runs a short form.",
            "",
            "| case | faults injected | silent errors | seeds |",
            "|---|---|---|---|",
            *rows,
            "",
            f"Made by `make faults`: {sum(one.seconds for _, one in done) / 3600:.1f} hours of one core, on {machine()}.",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(min(main(Path(sys.argv[1])), 1))
