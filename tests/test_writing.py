"""Files are whole or not there, whatever the disk says."""

import os

import numpy as np
import pytest

from pipeline.errors import ResourceError
from pipeline.trials import files
from pipeline.views import pixels
from pipeline.writing import replace_text, replacing, require_room
from tests.conftest import change, refused
from tests.faults.disk import may_mount, mounted


@pytest.fixture
def small(tmp_path):
    """A disk of a few pages, and what leaves a number of them free."""
    if not may_mount(tmp_path / "try"):
        pytest.skip("only root may mount a tmpfs")
    with mounted(tmp_path / "small") as leave:
        yield tmp_path / "small", leave


def test_a_file_that_cannot_be_written_is_named_and_the_old_one_stays(small):
    folder, leave = small
    replace_text(folder / "a.txt", "old")
    leave(1)
    with pytest.raises(ResourceError, match=r"a\.txt: cannot be written \(No space left on device\); make room"):
        replace_text(folder / "a.txt", "new" * 10_000)
    assert (folder / "a.txt").read_text() == "old"
    assert os.listdir(folder) == ["a.txt"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, ValueError])
def test_whatever_stops_it_leaves_no_half_of_a_file(tmp_path, stop):
    def half():
        with replacing(tmp_path / "a") as partial:
            partial.write_text("half")
            raise stop

    with pytest.raises(stop):
        half()
    assert not list(tmp_path.iterdir())


def test_a_folder_is_tried_before_the_work(small):
    folder, leave = small
    require_room(folder / "not/there/yet", 4096)
    with pytest.raises(ResourceError, match=r"1,000,000\.0 MB are to be written here and .* are free"):
        require_room(folder, 10**12)
    leave(0)
    with pytest.raises(ResourceError, match=r"no file can be written here|are free"):
        require_room(folder / "not/there/yet")


def test_a_full_disk_costs_no_finished_trial(ready, small, monkeypatch, tmp_path):
    """The room is there before the first step, and taken while the trial runs."""
    folder, leave = small
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    write = files.write

    def fill_and_write(place, trial):
        if folder in place.parents:
            leave(100)
        write(place, trial)

    monkeypatch.setattr(files, "write", fill_and_write)
    told = refused("student", "--held-out", "ink", "--method", "erm", "--results", str(folder / "r"), cwd=ready)
    assert "the finished trial cannot be written (" in told
    (kept,) = tmp_path.glob("scmd-trial-*")
    assert f"it is kept in {kept}: make room" in told
    assert files.read_card(kept)["metrics"]["method"] == "erm"
    assert not list(folder.rglob("*.partial"))


def test_a_disk_without_room_for_the_pictures_is_told_before_one_is_rendered(ready, small):
    folder, leave = small
    change(ready, "experiment.yaml", pixels={"size": 96, "max_gb": 1.0})
    place = ready / "cache/toy/pixels-96"
    place.symlink_to(folder)
    leave(20)
    assert "MB of pixels cannot be written (No space left on device)" in refused("pixels", cwd=ready)
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_a_store_has_its_room_on_the_disk(tmp_path):
    array = pixels._room_for(tmp_path / "a.npy", (3, 2, 64, 64, 3))
    assert os.stat(tmp_path / "a.npy").st_blocks * 512 >= array.nbytes
    assert np.load(tmp_path / "a.npy").shape == (3, 2, 64, 64, 3)


def test_a_full_disk_under_the_samples_table(project, small):
    folder, leave = small
    (project / "cache").symlink_to(folder)
    leave(1)
    told = refused("samples", cwd=project)
    assert "No space left on device" in told
    assert not [path for path in folder.rglob("*") if path.is_file()]
