"""StoredPictures once or drawn when asked for: the same pictures."""

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.views import pictures
from pipeline.views.distribution import Distribution
from pipeline.views.pictures import DrawnPictures, StoredPictures
from tests.conftest import draw_image, draw_many

IMAGES = [draw_image("ink", "disc", number) for number in range(5)]


class Load:
    samples = IMAGES

    def __call__(self, row):
        return IMAGES[row]


def rendered() -> DrawnPictures:
    sizes = [(f"{number:02x}", *image.size) for number, image in enumerate(IMAGES)]
    return DrawnPictures(Load(), draw_many(Distribution(), 0, sizes, range(4)), 16)


@pytest.mark.parametrize("workers", [0, 2])
def test_stored_pictures_equal_those_drawn_on_demand(tmp_path, workers):
    pictures.store(rendered(), "abc", tmp_path, workers)
    rows, views = np.array([4, 0, 2, 2, 1]), np.array([0, 3, 1, 0, 2])
    stored = StoredPictures(tmp_path, "abc", rendered()).take(rows, views)
    assert stored.shape == (5, 16, 16, 3)
    assert (stored == rendered().take(rows, views)).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pixels.json", "pixels.npy"]


def test_pixels_of_other_views_are_refused(tmp_path):
    pictures.store(rendered(), "abc", tmp_path, 0)
    assert pictures.is_current(tmp_path, "abc")
    assert not pictures.is_current(tmp_path, "def")
    with pytest.raises(InputError, match="run `scmd pixels` again"):
        StoredPictures(tmp_path, "def", rendered())


def test_missing_pixels_say_which_command_makes_them(tmp_path):
    with pytest.raises(InputError, match="run `scmd pixels` first"):
        pictures.facts(tmp_path)


def test_pixels_that_are_cut_short_are_refused(tmp_path):
    pictures.store(rendered(), "abc", tmp_path, 0)
    data = (tmp_path / "pixels.npy").read_bytes()
    for size in (0, 50, len(data) - 1):
        (tmp_path / "pixels.npy").write_bytes(data[:size])
        with pytest.raises(InputError, match=r"pixels\.npy: missing or cut short"):
            StoredPictures(tmp_path, "abc", rendered())
    (tmp_path / "pixels.json").write_text("{}")
    with pytest.raises(InputError, match="run `scmd pixels` first"):
        StoredPictures(tmp_path, "abc", rendered())


def test_pixels_of_another_shape_are_refused(tmp_path):
    pictures.store(rendered(), "abc", tmp_path, 0)
    np.save(tmp_path / "pixels.npy", np.load(tmp_path / "pixels.npy")[:-1])
    with pytest.raises(InputError, match=r"pixels\.npy: not the pictures that belong here"):
        StoredPictures(tmp_path, "abc", rendered())
