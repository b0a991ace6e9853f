"""The long form of the fault cases: `make faults` runs all of it on two cores and writes the table of what it found."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.journal import machine
from tests.conftest import make_tiny_teacher, ok
from tests.faults import borders, cases, live, reading, scenes, small, trials
from tests.faults.scenes import Verdict
from tests.test_dvc import make_repository

SEEDS = (0, 1)
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
    make_tiny_teacher(room / "teacher")
    project = make_repository(room / "project", room / "teacher")
    ok("samples", cwd=project)
    return project


def _live(room: Path, command: tuple[str, ...], count: int, seed: int) -> Iterator[Verdict]:
    return live.killed(_project(room), command, count, np.random.default_rng(seed))


def _starved(room: Path) -> Iterator[Verdict]:
    return live.starved(_project(room), 100)


def _repaired(room: Path, seed: int) -> Iterator[Verdict]:
    return live.repaired(_project(room), np.random.default_rng(seed))


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
        Part("`scmd teacher` killed at random moments", partial(_live, command=live.TEACHER, count=50, seed=0), 0),
        Part("`dvc repro` killed at random moments", partial(_live, command=live.REPRO, count=20, seed=0), 0),
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


def _done(part: Part) -> tuple[Part, int, list[str], float]:
    """(the part, faults injected, silent errors, seconds). Memory serves as its disk: syncing is what is watched."""
    started, injected, silent = time.monotonic(), 0, []
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as room:
        for verdict in part.work(Path(room)):
            injected += 1
            silent += [verdict] if verdict else []
    return part, injected, silent, time.monotonic() - started


def main(page: Path) -> int:
    """Runs every part, two at a time; the table goes to `page`. Returns the number of silent errors."""
    started, done = time.monotonic(), []
    with ProcessPoolExecutor(2) as pool:
        for future in as_completed([pool.submit(_done, part) for part in parts()]):
            part, injected, silent, seconds = future.result()
            print(f"{part.case}: {injected:,} faults, {len(silent)} silent errors, {seconds:.0f} s", flush=True)
            for verdict in silent[:5]:
                print(f"  {verdict}", flush=True)
            done.append((part, injected, len(silent)))
    page.write_text(_page(done, time.monotonic() - started), encoding="utf-8")
    return sum(silent for *_, silent in done)


def _page(done: list[tuple[Part, int, int]], seconds: float) -> str:
    rows = []
    for case in dict.fromkeys(part.case for part in parts()):
        mine = [(part, injected, silent) for part, injected, silent in done if part.case == case]
        seeds = ", ".join(str(s) for s in sorted({part.seed for part, *_ in mine if part.seed is not None})) or "none"
        injected, silent = sum(i for _, i, _ in mine), sum(s for *_, s in mine)
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
            f"Made by `make faults` in {seconds / 60:.0f} minutes, two at a time, on {machine()}.",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(min(main(Path(sys.argv[1])), 1))
