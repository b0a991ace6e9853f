"""The fault cases, by their numbers: each injects faults one by one and says of every one whether it went unnoticed.

A case yields `None` for a fault that was survived or refused, and a sentence for a silent error.
"""

import io
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import numpy as np

from pipeline import cli
from pipeline.cache import ledger, lock, reader, verify
from pipeline.cache.files import sha256
from pipeline.cache.layout import VIEW_ARRAYS, chunk_path, is_head_file, place_of
from pipeline.errors import CacheError
from tests.conftest import files
from tests.faults import crash, disk, reading, scenes, shim, small
from tests.faults.scenes import Scene, Verdict


def _ends_whole(scene: Scene, folder: Path, what: object) -> Verdict:
    """The work, run once more, must end as if undisturbed."""
    scene.work(folder)
    return None if files(folder.parent) == scene.whole else f"{scene.name}: other files after {what}"


def killed_at_calls(scene: Scene, room: Path, step: int) -> Iterator[Verdict]:
    """Case 1: SIGKILL before and after every `step`-th write-side call."""
    for at in range(0, scene.calls, step):
        for after in (False, True):
            folder = scene.prepare(room / f"{at}{after}" / "cache")
            # A call that fails, as looking for a staged file may, has no after.
            assert shim.killed(lambda folder=folder: scene.work(folder), at, after=after) or after
            yield _ends_whole(scene, folder, f"a kill at call {at}, after it: {after}")


def killed_while_resuming(scene: Scene, room: Path, count: int, random: np.random.Generator) -> Iterator[Verdict]:
    """Case 2: two or three kills, each of the run that follows the one before."""
    for number in range(count):
        kills: list[int] = []
        while not kills:
            folder = scene.prepare(room / f"{number}.{random.integers(1 << 30)}" / "cache")
            kills = _killed_again_and_again(scene, folder, 2 + number % 2, random)
        yield _ends_whole(scene, folder, f"kills at {kills}")


def _killed_again_and_again(scene: Scene, folder: Path, times: int, random: np.random.Generator) -> list[int]:
    """The calls at which runs were killed, one after another; nothing where one of them ended before its call came."""
    kills, left = [], scene.calls
    for _ in range(times):
        at = int(random.integers(0, left))
        if not shim.killed(lambda: scene.work(folder), at, after=bool(at % 2)):
            return []
        kills.append(at)
        left = max(1, left - at)
    return kills


def torn(scene: Scene, room: Path, random: np.random.Generator) -> Iterator[Verdict]:
    """Case 3: every file of a finished cache cut at 0, 1, 4095, 4096, n − 1 and a random byte.

    A cut chunk is named and computed again; with a cut head or ledger, building may be refused instead.
    """
    names = [name for name in scene.whole if not name.endswith(".lock")]
    finished = scene.prepare(room / "finished" / "cache")
    scene.work(finished)
    for name in names:
        size = len(scene.whole[name])
        for cut in sorted({0, 1, 4095, 4096, size - 1, int(random.integers(0, size))}):
            if cut >= size:
                continue
            folder = room / "torn" / name.replace("/", "_") / str(cut) / "cache"
            shutil.copytree(finished.parent, folder.parent)
            path = folder.parent / name
            path.write_bytes(scene.whole[name][:cut])
            if not any(fault.path == path.relative_to(folder).as_posix() for fault in verify.faults(folder)):
                yield f"{name} cut at {cut} is not named"
                continue
            try:
                yield _ends_whole(scene, folder, f"{name} cut at {cut}")
            except CacheError as error:
                yield f"{name} cut at {cut}: {error}" if place_of(path.relative_to(folder).as_posix()) else None


def torn_at_rest(folder: Path, random: np.random.Generator) -> Iterator[Verdict]:
    """Case 3 again: the same cuts of the files of a large cache; each is named, it alone, and no reader takes it."""
    for name, whole in files(folder).items():
        size = len(whole)
        for cut in sorted({0, 1, 4095, 4096, size - 1, int(random.integers(0, size))}):
            if cut >= size:
                continue
            (folder / name).write_bytes(whole[:cut])
            named = {fault.path for fault in verify.faults(folder)}
            try:
                _columns(folder)
                yield f"{name} cut at {cut}: read"
            except CacheError:
                yield None if named == {name} else f"{name} cut at {cut}: {named}"
        (folder / name).write_bytes(whole)


def power_lost(scene: Scene, room: Path, count: int, random: np.random.Generator) -> Iterator[Verdict]:
    """Case 4: states that a power loss may leave, in which what was not synced is lost or torn."""
    recorded = scene.prepare(room / "recorded" / "cache")
    start: crash.Tree = {f"cache/{p.relative_to(recorded)}": None for p in recorded.rglob("*") if p.is_dir()}
    start |= files(recorded.parent)
    start |= {"cache": None} if recorded.exists() else {}
    calls = shim.Recorder(recorded.parent).record(lambda: scene.work(recorded))
    for number in range(count):
        upto, loss = int(random.integers(0, len(calls) + 1)), float(random.choice([0.0, 0.5, 1.0]))
        folder = room / f"state{number}" / "cache"
        crash.lay_out(crash.state(start, calls, upto, random, loss), folder.parent)
        if (folder / "ledger/head.json").exists() and not list(folder.rglob("*.staged")):
            entries, broken = verify.listed_files(folder)
            cut = [fault for fault in verify.visible_faults(reader.open_any(folder)) if fault.path in entries]
            if broken or cut:
                yield f"{scene.name}: listed and not whole after call {upto}, loss {loss}: {(broken + cut)[0]}"
                continue
        yield _ends_whole(scene, folder, f"a power loss after call {upto}, loss {loss}")


def refused(scene: Scene, room: Path, step: int, faults: Sequence[str]) -> Iterator[Verdict]:
    """Cases 5 and 17: every `step`-th call fails with one of `shim.FAULTS`, once or for ever.

    It is told, what a reader then gets is one cache's, and the next run goes on.
    """
    known = reading.known(scene, room)
    for fault in faults:
        for for_ever in (False, True):
            for at in range(0, scene.calls, step):
                folder = scene.prepare(room / f"{fault}{for_ever}{at}" / "cache")
                what = f"{scene.name}: {fault} at call {at}, for ever: {for_ever}"
                told = None
                with shim.failing(at, shim.FAULTS[fault], for_ever=for_ever) as raised:
                    try:
                        scene.work(folder)
                    except (CacheError, OSError, MemoryError) as error:
                        told = error
                if raised and not _is_a_sentence(told):
                    yield f"{what}: told as {told!r}"
                    continue
                yield reading.is_one_cache(
                    known, lambda folder=folder: reading.read(folder), what, may_refuse=True
                ) or _ends_whole(scene, folder, what)


def _is_a_sentence(told: Exception | None) -> bool:
    """Whether the command line would say it in one."""
    return isinstance(told, CacheError | MemoryError) or (isinstance(told, OSError) and told.filename is not None)


def disk_full(scene: Scene, room: Path, step: int) -> Iterator[Verdict]:
    """Case 5 for real: a disk with ever more pages left, until the work fits; it must be told, and go on with room."""
    pages, fits = 1, False
    while not fits:
        with disk.mounted(room / f"{scene.name}{pages}") as leave:
            folder = scene.prepare(room / f"{scene.name}{pages}" / "set" / "cache")
            leave(pages)
            try:
                scene.work(folder)
                fits, told = True, None
            except CacheError as error:
                told = None if "No space left" in str(error) else f"{scene.name}: {pages} pages left: {error}"
            leave(disk.PLENTY)
            yield told or _ends_whole(scene, folder, f"a disk with {pages} pages left")
        pages += step


def read_only(scene: Scene) -> Iterator[Verdict]:
    """Case 6: a folder of a cache, or the one above, may not be written, by a user who is not root.

    Reading and verifying work and change nothing, building is refused before anything is computed, and goes on once it
    is allowed.
    """
    for place in (".", "cache", "cache/ledger", "cache/logits/c/0"):
        with tempfile.TemporaryDirectory() as room:
            os.chmod(room, 0o755)
            folder = scene.prepare(Path(room) / "set" / "cache")
            if os.geteuid() == 0:
                for path in [folder.parent, *folder.parent.rglob("*")]:
                    os.chown(path, NOBODY, NOBODY)
            before = files(folder.parent)
            (folder.parent / place).chmod(0o555)
            reads = _as_nobody(lambda folder=folder: _assert_reads(folder))
            same = files(folder.parent) == before
            with mock.patch.object(small, "arrays", side_effect=AssertionError("computed")):
                builds = _as_nobody(lambda folder=folder: _locked_work(scene, folder))
            (folder.parent / place).chmod(0o755)
            (folder.parent / ".cache.lock").unlink(missing_ok=True)
            yield None if reads == 0 and same else f"{place}: reading ended with {reads}, files as before: {same}"
            yield None if files(folder.parent) == before else f"{place}: a refused build left other files"
            refused = _ends_whole(scene, folder, f"a refusal in {place}")
            yield refused if builds == REFUSED else f"{place}: building ended with {builds}"


REFUSED = 3


def _locked_work(scene: Scene, folder: Path) -> None:
    try:
        with lock.writing(folder):
            scene.work(folder)
    except CacheError:
        os._exit(REFUSED)


NOBODY = 65534


def _as_nobody(work: Callable[[], None]) -> int:
    """The exit code of a forked process without root's rights."""

    def lesser() -> None:
        if os.geteuid() == 0:
            os.setuid(NOBODY)
        work()

    _, status = os.waitpid(_forked(lesser), 0)
    return os.waitstatus_to_exitcode(status)


def _assert_reads(folder: Path) -> None:
    assert not list(verify.faults(folder))
    _columns(folder)


def clocks(scene: Scene, room: Path, random: np.random.Generator) -> Iterator[Verdict]:
    """Case 7: after a kill all times of change are shifted, equal or reversed; no decision hangs on them."""
    hour, years = 3600.0, 10 * 365 * 86400.0
    now = time.time()
    for number, shift in enumerate([-hour, hour, -years, years, None, "reversed"]):
        folder = scene.prepare(room / f"clock{number}" / "cache")
        shim.killed(lambda folder=folder: scene.work(folder), int(random.integers(0, scene.calls)), after=True)
        for at, path in enumerate(sorted(folder.parent.rglob("*"))):
            moment = now - at if shift == "reversed" else now + shift if isinstance(shift, float) else now
            os.utime(path, (moment, moment))
        yield _ends_whole(scene, folder, f"clocks moved by {shift}")


def writers(folder: Path, processes: int, rounds: int) -> Iterator[Verdict]:
    """Case 8: processes that all try to build one cache, round after round; a verdict for each round of each.

    A round gets the lock and completes the cache, or is told who has it.
    """
    small.build(folder.parent / "alone" / "cache", count=40)
    reading_end, writing_end = os.pipe()
    children = [_forked(lambda: _tries(folder, rounds, writing_end)) for _ in range(processes)]
    os.close(writing_end)
    with os.fdopen(reading_end, "rb") as pipe:
        told = pipe.read().decode()
    for child in children:
        os.waitpid(child, 0)
    yield from (None if round_ in (BUILT, BUSY) else f"a round ended with {round_}" for round_ in told)
    lost = processes * rounds - len(told)
    yield f"{lost} rounds told nothing" if lost or BUILT not in told or BUSY not in told else None
    whole, alone = files(folder), files(folder.parent / "alone" / "cache")
    yield None if whole == alone else "other files than one writer leaves"


BUILT, BUSY, ELSE = "bwe"


def _tries(folder: Path, rounds: int, pipe: int) -> None:
    for number in range(rounds):
        count = 40 if number > rounds // 2 else 4 + 36 * number // rounds
        told = ELSE
        try:
            with lock.writing(folder):
                small.build(folder, count=count)
                cache = reader.open_complete(folder)
                told = BUILT if len(cache.rows) >= count and not cache.incomplete_blocks() else ELSE
        except CacheError as error:
            if "is writing this cache" in str(error):
                told = BUSY
        os.write(pipe, told.encode())


def _forked(work: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    return child


def locks(folder: Path, count: int) -> Iterator[Verdict]:
    """Case 9: an owner that was killed, one that is frozen, and a child that its killed owner left behind."""
    for number in range(count):
        for kind in ("killed", "frozen", "orphan"):
            place = folder / f"{kind}{number}" / "cache"
            place.parent.mkdir(parents=True)
            owner, ready = _holder(place, leaves_child=kind == "orphan")
            os.read(ready, 1)
            os.kill(owner, signal.SIGSTOP if kind == "frozen" else signal.SIGKILL)
            os.waitpid(owner, os.WUNTRACED)
            try:
                with lock.writing(place):
                    yield "a frozen owner's lock was taken" if kind == "frozen" else None
            except CacheError as error:
                named = f"process {owner}" in str(error) and "stopped" in str(error)
                yield None if kind == "frozen" and named else f"{kind}: {error}"
            if kind == "frozen":
                os.kill(owner, signal.SIGKILL)
                os.waitpid(owner, 0)
            os.close(ready)


def _holder(folder: Path, *, leaves_child: bool) -> tuple[int, int]:
    """(pid, a pipe that speaks once it holds the lock)."""
    reading, writing = os.pipe()

    def hold() -> None:
        with lock.writing(folder):
            if leaves_child and os.fork() == 0:
                os.write(writing, b"!")  # the child itself: by then its fork has let go of what it inherited
                time.sleep(2)
                os._exit(0)
            if not leaves_child:
                os.write(writing, b"!")
            time.sleep(60)

    pid = _forked(hold)
    os.close(writing)
    return pid, reading


def flipped(folder: Path, bits: Callable[[int], np.ndarray]) -> Iterator[Verdict]:
    """Case 10: single bits of every file (`bits`: number of bits → which of them), judged by what `verify` calls."""
    entries = scenes.listed(folder)
    by_digest = {entry.sha256: path for path, entry in entries.items()}
    cache = reader.open_complete(folder)
    for path, whole in files(folder).items():
        data = bytearray(whole)
        for bit in bits(8 * len(data)).tolist():
            data[bit >> 3] ^= 1 << (bit & 7)
            yield None if _is_named(path, bytes(data), entries, by_digest, cache) else f"bit {bit} of {path}"
            data[bit >> 3] ^= 1 << (bit & 7)


def flipped_for_the_command(folder: Path, count: int, random: np.random.Generator) -> Iterator[Verdict]:
    """Case 10 again: random bits, judged by `scmd cache verify` as its user sees it."""
    whole = files(folder)
    sizes = np.array([len(data) for data in whole.values()])
    for path in random.choice(list(whole), count, p=sizes / sizes.sum()).tolist():
        data, bit = bytearray(whole[path]), int(random.integers(0, 8 * len(whole[path])))
        data[bit >> 3] ^= 1 << (bit & 7)
        (folder / path).write_bytes(data)
        code, said = command("cache", "verify", str(folder))
        (folder / path).write_bytes(whole[path])
        yield None if code == 1 and path in said else f"bit {bit} of {path}: {code}, {said}"


def command(*arguments: str) -> tuple[int, str]:
    """Exit code and words of `scmd`, in this process."""
    said = io.StringIO()
    with mock.patch.object(sys, "argv", ["scmd", *arguments]), redirect_stderr(said), redirect_stdout(said):
        try:
            cli.main()
        except SystemExit as done:
            return int(done.code or 0), said.getvalue()
    return 0, said.getvalue()


def _is_named(path: str, data: bytes, entries: dict, by_digest: dict, cache: reader.TeacherCache) -> bool:
    if path in entries:
        return verify.check(path, data, entries[path], by_digest, cache) is not None
    try:
        ledger.parse(data, Path(path).stem, path)
    except CacheError:
        return True
    return False


def misplaced(folder: Path, other: Path, step: int) -> Iterator[Verdict]:
    """Case 11: every `step`-th chunk missing, swapped with another, doubled, or from an older run (`other`)."""
    chunks = [path for path in scenes.listed(folder) if place_of(path)]
    for at, path in list(enumerate(chunks))[::step]:
        array, block, view = place_of(path) or ("", 0, 0)
        twin = chunk_path(array, (block + 1) % scenes.LARGE.blocks, view)
        whole, beside = (folder / path).read_bytes(), (folder / twin).read_bytes()
        for what, here, there in (
            ("missing", None, beside),
            ("swapped", beside, whole),
            ("doubled", beside, beside),
            ("stale", (other / path).read_bytes(), beside),
        ):
            _put(folder / path, here)
            _put(folder / twin, there)
            named = {fault.path for fault in verify.faults(folder)}
            yield None if named == ({path, twin} if what == "swapped" else {path}) else f"{what} {path}: {named}"
            yield from _reads_wrong(folder, array, f"{what} {path}") if at % 8 == 0 else ()
        _put(folder / path, whole)
        _put(folder / twin, beside)


def _put(path: Path, data: bytes | None) -> None:
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)


def _reads_wrong(folder: Path, array: str, what: str) -> Iterator[Verdict]:
    try:
        reader.open_complete(folder).column(array)
    except CacheError:
        yield None
    else:
        yield f"{what}: read without a word"


def mutated(folder: Path, count: int, random: np.random.Generator) -> Iterator[Verdict]:
    """Case 14: a cache with one or two mutated files, signed again by its ledger or not, is refused or read right."""
    whole = files(folder)
    columns = _columns(folder)
    for number in range(count):
        names = random.choice(sorted(whole), int(random.integers(1, 3)), replace=False)
        signed = bool(random.random() < 0.6)
        for name in names:
            (folder / name).write_bytes(_mutation(whole[name], whole, random))
        touched = list(names) + (_sign(folder, names) if signed else [])
        try:
            wrong = not signed and any((_columns(folder)[array] != columns[array]).any() for array in columns)
            if signed:
                _columns(folder)
            yield f"mutation {number} of {names}: wrong rows" if wrong else None
        except CacheError:
            yield None
        except Exception as error:
            yield f"mutation {number} of {names}, signed {signed}: {error!r}"
        for name in touched:
            (folder / name).write_bytes(whole[name])


def _columns(folder: Path) -> dict[str, np.ndarray]:
    cache = reader.open_complete(folder)
    return {"text": cache.read_text_embeddings(), **{array: cache.column(array) for array in VIEW_ARRAYS}}


def _mutation(data: bytes, whole: dict[str, bytes], random: np.random.Generator) -> bytes:
    """Bytes changed, cut out, put in, doubled, replaced by another file's, or a number of it by an extreme one."""
    changed = bytearray(data)
    start, end = sorted(random.integers(0, len(data) + 1, 2).tolist())
    end = min(end, start + 64)
    match int(random.integers(0, 7)):
        case 0:
            changed[start:end] = random.bytes(end - start)
        case 1:
            del changed[start:end]
        case 2:
            changed[start:start] = random.bytes(int(random.integers(1, 16)))
        case 3:
            changed[start:start] = changed[start:end]
        case 4:
            return whole[str(random.choice(sorted(whole)))]
        case 5:
            return bytes(changed[:start])
        case _:
            numbers = [at for at, byte in enumerate(changed) if chr(byte).isdigit()]
            if numbers:
                at = int(random.choice(numbers))
                extreme = [b"-1", b"0", b"99999999999999999999", b"1e400", b"NaN", b"null", b'"x"', b"[]", b"1.5"]
                changed[at : at + 1] = extreme[int(random.integers(0, len(extreme)))]
    return bytes(changed)


def _sign(folder: Path, names: np.ndarray) -> list[str]:
    """Makes the ledgers agree with mutated files, as an author who means harm would; returns what it wrote."""
    written = []
    for path in (str(name) for name in names if not str(name).startswith("ledger/")):
        place = place_of(path)
        name = ledger.name_of(place[1]) if place else ledger.HEAD if is_head_file(path) else None
        if name is None:
            continue
        try:
            old = ledger.read(folder, name)
        except CacheError:
            continue
        data = (folder / path).read_bytes()
        entry = ledger.Entry(size=len(data), sha256=sha256(data), rows=old.rows_of(path))
        new = ledger.Ledger({**old.files, path: entry}, old.provenance)
        (folder / ledger.path_of(name)).write_bytes(new.to_bytes())
        written.append(ledger.path_of(name))
    return written
