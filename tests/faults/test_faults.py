"""Stage one's writing, killed, torn, refused and cut off from power at its every call (a stand-in encodes)."""

import os

import numpy as np
import pytest

from pipeline.cache import verify
from pipeline.errors import CacheError
from tests.conftest import files
from tests.faults import crash, shim, small

# What is interrupted: a new cache; more images and views; other drawing, so another cache built beside and switched.
SCENES = {
    "new": ({}, None),
    "extended": ({"count": 13, "views": 4}, {}),
    "replaced": ({"seed": 1}, {}),
}
STEP = int(os.environ.get("SCMD_FAULTS_STEP", "7"))


@pytest.fixture(scope="module", params=SCENES)
def scene(request, tmp_path_factory):
    """(a maker of the state before, the work, the calls it makes, the files after an undisturbed run)."""
    wanted, before = SCENES[request.param]

    def prepare(folder):
        folder.parent.mkdir(parents=True)
        if before is not None:
            small.build(folder, **before)
        return folder

    whole = prepare(tmp_path_factory.mktemp("whole") / "set/cache")
    calls = shim.count(lambda: small.build(whole, **wanted))
    assert calls > 100
    return prepare, lambda folder: small.build(folder, **wanted), calls, files(whole.parent)


def test_killed_before_or_after_any_call_it_ends_as_if_undisturbed(scene, tmp_path):
    prepare, work, calls, whole = scene
    for at in range(0, calls, STEP):
        for after in (False, True):
            folder = prepare(tmp_path / f"{at}{after}" / "cache")
            # A call that fails, as looking for a staged file may, has no after.
            assert shim.killed(lambda folder=folder: work(folder), at, after=after) or after
            work(folder)
            assert files(folder.parent) == whole, (at, after)


def test_killed_again_while_it_resumes(scene, tmp_path):
    prepare, work, calls, whole = scene
    random = np.random.default_rng(0)
    for number in range(max(2, 60 // STEP)):
        folder = prepare(tmp_path / str(number) / "cache")
        for at in random.integers(0, calls, 3):
            shim.killed(lambda folder=folder: work(folder), int(at), after=bool(at % 2))
        work(folder)
        assert files(folder.parent) == whole


@pytest.mark.parametrize("code", [shim.NO_ROOM, shim.BROKEN])
@pytest.mark.parametrize("for_ever", [False, True])
def test_a_refused_call_is_one_sentence_and_the_next_run_goes_on(scene, tmp_path, code, for_ever):
    prepare, work, calls, whole = scene
    for at in range(0, calls, 3 * STEP):
        folder = prepare(tmp_path / str(at) / "cache")
        refused = False
        try:
            with shim.failing(at, code, for_ever=for_ever):
                work(folder)
        except (CacheError, OSError):
            refused = True
        # Clearing the old cache away, at the end, needs no room.
        assert refused or for_ever
        work(folder)
        assert files(folder.parent) == whole, at


def test_a_power_loss_leaves_no_listed_file_damaged(scene, tmp_path):
    prepare, work, _, whole = scene
    recorded = prepare(tmp_path / "recorded" / "cache")
    start = {f"cache/{path.relative_to(recorded)}": None for path in recorded.rglob("*") if path.is_dir()}
    start |= files(recorded.parent)
    start |= {"cache": None} if recorded.exists() else {}
    calls = shim.Recorder(recorded.parent).record(lambda: work(recorded))
    random = np.random.default_rng(1)
    for number in range(max(10, 350 // STEP)):
        upto, loss = int(random.integers(0, len(calls) + 1)), float(random.choice([0.0, 0.5, 1.0]))
        folder = tmp_path / f"state{number}" / "cache"
        crash.lay_out(crash.state(start, calls, upto, random, loss), folder.parent)
        if (folder / "ledger/head.json").exists():
            listed, broken = verify.listed_files(folder)
            staged = list(folder.rglob("*.staged"))
            assert not broken
            assert staged or not [fault for fault in verify.cut(folder) if fault.path in listed], (upto, loss)
        work(folder)
        assert files(folder.parent) == whole, (upto, loss)


def test_killed_while_an_abandoned_building_is_removed(tmp_path):
    """What is left of it must not pass for a begun cache when its settings come back."""
    small.build(tmp_path / "whole" / "cache", seed=0)
    small.build(tmp_path / "whole" / "cache", seed=1)
    whole = files(tmp_path / "whole")
    for at in range(0, 60, 3):
        folder = tmp_path / str(at) / "cache"
        small.build(folder, seed=0)
        assert shim.killed(lambda folder=folder: small.build(folder, seed=1), 350, after=True)
        assert shim.killed(lambda folder=folder: small.build(folder, seed=0), at, after=True)
        small.build(folder, seed=1)
        assert files(folder.parent) == whole, at
