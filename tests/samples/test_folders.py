"""DomainBed's layout on disk."""

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
    assert skipped == {"one": 1, "two": 1}


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
