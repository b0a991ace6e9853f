"""The short form of the fault cases; `make faults` runs the whole and counts."""

import shutil
from collections.abc import Iterator

import numpy as np
import pytest

from tests.conftest import files
from tests.faults import cases, disk, reading, scenes, shim, small
from tests.faults.scenes import Verdict


def assert_none_silent(verdicts: Iterator[Verdict], at_least: int) -> None:
    seen = list(verdicts)
    assert [verdict for verdict in seen if verdict] == []
    assert len(seen) >= at_least


@pytest.fixture(scope="module", params=scenes.NAMES)
def scene(request, tmp_path_factory):
    return scenes.scene(request.param, tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return scenes.large(tmp_path_factory.mktemp("large") / "cache")


def random() -> np.random.Generator:
    return np.random.default_rng(0)


def test_killed_before_or_after_any_call_it_ends_as_if_undisturbed(scene, tmp_path):
    assert_none_silent(cases.killed_at_calls(scene, tmp_path, step=37), scene.calls // 37)


def test_killed_again_while_it_resumes(scene, tmp_path):
    assert_none_silent(cases.killed_while_resuming(scene, tmp_path, 6, random()), 6)


def test_a_torn_file_is_named_and_computed_again(tmp_path_factory, tmp_path):
    new = scenes.scene("new", tmp_path_factory.mktemp("scene"))
    assert_none_silent(cases.torn(new, tmp_path, random()), 100)


def test_a_power_loss_leaves_no_listed_file_damaged(scene, tmp_path):
    assert_none_silent(cases.power_lost(scene, tmp_path, 20, random()), 20)


def test_a_refused_call_is_told_and_the_next_run_goes_on(scene, tmp_path):
    assert_none_silent(cases.refused(scene, tmp_path, step=140, faults=tuple(shim.FAULTS)), 6 * (scene.calls // 140))


def test_a_torn_file_of_a_large_cache_is_named(large, tmp_path):
    assert_none_silent(cases.torn_at_rest(shutil.copytree(large, tmp_path / "cache"), random()), 300)


def test_a_full_disk_is_told_and_with_room_the_next_run_goes_on(scene, tmp_path):
    if not disk.may_mount(tmp_path / "try"):
        pytest.skip("only root mounts a small disk")
    assert_none_silent(cases.disk_full(scene, tmp_path, step=9), 2)


def test_a_folder_that_may_not_be_written_can_be_read(tmp_path):
    assert_none_silent(cases.read_only(scenes.scene("extended", tmp_path)), 12)


def test_no_decision_hangs_on_a_clock(scene, tmp_path):
    assert_none_silent(cases.clocks(scene, tmp_path, random()), 6)


def test_many_writers_leave_what_one_leaves(tmp_path):
    assert_none_silent(cases.writers(tmp_path / "cache", 4, 20), 80)


def test_a_reader_during_a_write_gets_the_rows_of_one_cache(tmp_path_factory, tmp_path):
    for name in (*scenes.GROWING, "replaced"):
        scene = scenes.scene(name, tmp_path_factory.mktemp("scene"))
        assert_none_silent(reading.while_written(scene, tmp_path / name, step=47), scene.calls // 47)


def test_a_lock_left_behind_never_blocks_and_a_frozen_owner_is_named(tmp_path):
    assert_none_silent(cases.locks(tmp_path, 3), 9)


def test_flipped_bits_are_found(large):
    count = sum(len(data) for data in files(large).values())
    share = 20_000 / (8 * count)
    numbers = random()
    assert_none_silent(
        cases.flipped(large, lambda bits: numbers.integers(0, bits, max(1, round(share * bits)))), 19_000
    )


def test_flipped_bits_are_named_by_the_command(large):
    assert_none_silent(cases.flipped_for_the_command(large, 200, random()), 200)


def test_missing_swapped_doubled_and_stale_chunks_are_named(large, tmp_path):
    other = scenes.large(tmp_path / "other", seed=1)
    assert_none_silent(cases.misplaced(shutil.copytree(large, tmp_path / "cache"), other, step=4), 64)


def test_mutated_caches_are_refused_or_read_right(tmp_path):
    small.build(tmp_path / "cache", count=5, views=2)
    assert_none_silent(cases.mutated(tmp_path / "cache", 600, random()), 600)


def test_what_is_left_of_an_abandoned_building_goes_on_when_its_settings_come_back(tmp_path):
    """Whatever was begun and killed with other settings in between."""
    small.build(tmp_path / "whole" / "cache", seed=0)
    small.build(tmp_path / "whole" / "cache", seed=1)
    whole = files(tmp_path / "whole")
    for at in range(50, 350, 60):
        folder = tmp_path / str(at) / "cache"
        small.build(folder, seed=0)
        assert shim.killed(lambda folder=folder: small.build(folder, seed=1), at, after=True)
        small.build(folder, seed=0)  # what stands; it writes nothing, and removes nothing
        small.build(folder, seed=1)
        assert files(folder.parent) == whole, at
