"""DomainBed's layout on disk."""

import os

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from pipeline.errors import InputError
from pipeline.samples import folders


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path, "PNG")


def test_samples_come_in_the_order_of_torchvisions_image_folder(tmp_path):
    touch(tmp_path, "one/b/2.png", "one/b/10.JPG", "one/a/z.png", "one/a/deep/a.png", "two/a/x.png", "two/b/x.png")
    found, _ = folders.scan(tmp_path, None)
    reference = [path for path, _ in ImageFolder(tmp_path / "one").samples]
    assert [str(tmp_path / place.key) for place in found if place.domain == "one"] == reference
    assert len(reference) == 4


def test_other_files_are_counted_and_skipped(tmp_path):
    touch(tmp_path, "one/a/1.png", "two/a/1.png")
    (tmp_path / "one/a/notes.txt").write_text("no picture")
    touch(tmp_path, "two/in no class.png")
    found, skipped = folders.scan(tmp_path, None)
    assert len(found) == 2
    assert [(one.key, one.domain, one.reason) for one in skipped] == [
        ("one/a/notes.txt", "one", "a file of another kind (.txt)"),
        ("two/in no class.png", "two", "a file outside the class folders"),
    ]


def test_folders_beside_the_named_domains_are_told(tmp_path):
    touch(tmp_path, "one/a/1.png", "two/a/1.png", "three/a/1.png")
    found, skipped = folders.scan(tmp_path, ("two", "one"))
    assert [place.domain for place in found] == ["two", "one"]
    assert [(one.key, one.reason) for one in skipped] == [("three", folders.OUTSIDE)]
    with pytest.raises(InputError, match="no folder for domain `four`; the folders there are one, three, two"):
        folders.scan(tmp_path, ("one", "four"))


def test_what_systems_and_tools_leave_is_passed_by_and_named(tmp_path):
    touch(tmp_path, "one/a/1.png", "two/a/1.png", "one/a/.2.png", "one/a/._1.png", "one/a/.ipynb_checkpoints/1.png")
    touch(
        tmp_path,
        "one/a/@eaDir/1.png/thumb.jpg",
        "__MACOSX/a/1.png",
        "two/.git/1.png",
        ".cache/a/1.png",
        "one/a/b.png/c.png",
    )
    found, skipped = folders.scan(tmp_path, None)
    # A folder may be called as an image is: what is in it counts.
    assert [place.key for place in found] == ["one/a/1.png", "one/a/b.png/c.png", "two/a/1.png"]
    assert sorted((one.key, one.reason) for one in skipped) == [
        (".cache", "a hidden folder"),
        ("__MACOSX", "a folder of the system's"),
        ("one/a/.2.png", "a hidden file"),
        ("one/a/._1.png", "a hidden file"),
        ("one/a/.ipynb_checkpoints", "a hidden folder"),
        ("one/a/@eaDir", "a folder of the system's"),
        ("two/.git", "a hidden folder"),
    ]


@pytest.mark.parametrize("target", [".", "..", "../.."])
def test_a_link_that_loops_gives_no_image_twice(tmp_path, target):
    touch(tmp_path, "one/a/1.png", "two/a/1.png")
    (tmp_path / "one/a/all").symlink_to(target)
    found, skipped = folders.scan(tmp_path, None)
    keys = [place.key for place in found if place.domain == "one"]
    assert len({(tmp_path / key).resolve() for key in keys}) == len(keys)
    assert any(one.reason == "a link to a folder that was read already" for one in skipped)


def test_images_of_every_kind_that_the_decoder_reads_are_found(tmp_path):
    names = [f"one/a/1{suffix}" for suffix in (".jfif", ".JPE", ".gif", ".avif", ".png")]
    touch(tmp_path, *names, "two/a/1.png")
    assert len(folders.scan(tmp_path, ("one",))[0]) == 5


def test_a_pipe_is_passed_by_and_waited_for_by_none(tmp_path):
    touch(tmp_path, "one/a/1.png", "two/a/1.png")
    os.mkfifo(tmp_path / "one/a/2.png")
    (tmp_path / "three").mkdir()
    found, skipped = folders.scan(tmp_path, None)
    assert len(found) == 2
    assert [(one.key, one.reason) for one in skipped] == [
        ("one/a/2.png", "no plain file"),
        ("three", "a domain's folder without a class"),
    ]


def test_a_folder_that_cannot_be_read_is_told_and_nothing_is_left_out_in_silence(tmp_path, monkeypatch):
    touch(tmp_path, "one/a/1.png", "one/a/shut/2.png", "two/a/1.png")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # tests may run as root, whom no right is refused
    with pytest.raises(InputError, match=r"one/a/shut: this folder cannot be read \(Permission denied\)"):
        folders.scan(tmp_path, None)


def test_named_domains_leave_the_others_alone(tmp_path):
    touch(tmp_path, "one/a/1.png", "two/a/1.png", "three/a/1.png")
    found, _ = folders.scan(tmp_path, ("two", "one"))
    assert [place.domain for place in found] == ["two", "one"]


def test_a_missing_domain_names_those_that_are_there(tmp_path):
    touch(tmp_path, "one/a/1.png")
    with pytest.raises(InputError, match="no folder for domain `two`; the folders there are one"):
        folders.scan(tmp_path, ("two",))


def test_an_empty_class_folder_is_refused_by_name(tmp_path):
    touch(tmp_path, "one/a/1.png")
    (tmp_path / "one/b").mkdir()
    with pytest.raises(InputError, match="one/b: no image in this class folder"):
        folders.scan(tmp_path, None)
