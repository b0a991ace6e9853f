"""Stored once or drawn when asked for: the same pictures, and none rendered twice."""

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.views import pixels
from pipeline.views.distribution import Distribution
from pipeline.views.pictures import CleanStored, DrawnPictures, stored_views
from pipeline.views.pixels import Wanted
from tests.conftest import draw_image, draw_many

IDS = [f"{number:064x}" for number in range(6)]
IMAGES = {one: draw_image("ink", "disc", number) for number, one in enumerate(IDS)}


class Load:
    """Rows by id; counts what is decoded in this process."""

    def __init__(self, ids):
        self.ids, self.decoded = ids, []

    def __call__(self, row):
        self.decoded.append(self.ids[row])
        return IMAGES[self.ids[row]]


def wanted(ids=tuple(IDS[:5]), views=4, size=16, gone=(), seed=0) -> Wanted:
    ids = list(ids)
    sizes = [(one, *IMAGES[one].size) for one in ids]
    drawn = DrawnPictures(Load(ids), draw_many(Distribution(), seed, sizes, range(views)), size)
    return Wanted(ids, np.array([one not in gone for one in ids]), drawn)


ROWS, VIEWS = np.array([4, 0, 2, 2, 1]), np.array([0, 3, 1, 0, 2])


@pytest.mark.parametrize("workers", [0, 2])
def test_stored_pictures_equal_those_drawn_on_demand(tmp_path, workers):
    assert pixels.complete(tmp_path, wanted(), workers) == 20
    stored = pixels.opened(tmp_path, wanted()).take(ROWS, VIEWS)
    assert stored.shape == (5, 16, 16, 3)
    assert (stored == wanted().drawn.take(ROWS, VIEWS)).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["numbers.npy", "pixels.npy", "rows.parquet"]


def test_clean_pictures_come_from_their_own_store_and_no_image_is_decoded_for_them(tmp_path):
    pixels.complete(tmp_path, wanted().first(1), 0)
    more = wanted()
    pictures = CleanStored(pixels.opened(tmp_path, more.first(1)), more.drawn)
    clean = np.zeros(5, int)
    assert (pictures.take(ROWS, clean) == wanted().drawn.take(ROWS, clean)).all()
    assert more.drawn.maker.load.decoded == []
    assert (pictures.take(ROWS, VIEWS) == wanted().drawn.take(ROWS, VIEWS)).all()


def test_the_clean_view_is_stored_alone_where_all_do_not_fit_and_it_does():
    gb = 10 * 16 * 16 * 3 / 1e9
    assert [stored_views(10, 4, 16, most) for most in (4 * gb, 3.9 * gb, gb, 0.9 * gb)] == [4, 1, 1, 0]


def test_a_second_time_nothing_is_rendered(tmp_path):
    pixels.complete(tmp_path, wanted(), 0)
    again = wanted()
    assert pixels.complete(tmp_path, again, 0) == 0
    assert again.drawn.maker.load.decoded == []


def test_new_rows_and_new_views_are_rendered_and_no_others(tmp_path):
    pixels.complete(tmp_path, wanted(), 0)
    more = wanted(IDS)
    assert pixels.complete(tmp_path, more, 0) == 4
    assert more.drawn.maker.load.decoded == [IDS[5]]
    assert pixels.complete(tmp_path, wanted(IDS, views=6), 0) == 12
    taken = pixels.opened(tmp_path, wanted(IDS, views=6))
    rows, views = np.array([5, 0, 5]), np.array([5, 4, 1])
    assert (taken.take(rows, views) == wanted(IDS, views=6).drawn.take(rows, views)).all()


def test_another_cache_of_the_same_views_shares_them_whatever_its_order(tmp_path):
    pixels.complete(tmp_path, wanted(), 0)
    other = wanted(IDS[4:0:-1], views=3)
    assert pixels.complete(tmp_path, other, 0) == 0
    rows, views = np.array([0, 3]), np.array([2, 1])
    assert (pixels.opened(tmp_path, other).take(rows, views) == other.drawn.take(rows, views)).all()


def test_an_image_that_is_gone_is_never_rendered_nor_taken_and_is_when_it_comes_back(tmp_path):
    assert pixels.complete(tmp_path, wanted(gone={IDS[2]}), 0) == 16
    pictures = pixels.opened(tmp_path, wanted(gone={IDS[2]}))
    assert (pictures.take(np.array([3]), np.array([1])) == wanted().drawn.take(np.array([3]), np.array([1]))).all()
    with pytest.raises(IndexError):
        pictures.take(np.array([2]), np.array([1]))
    assert pixels.complete(tmp_path, wanted(), 0) == 4


def test_pictures_of_other_numbers_are_refused_and_rendered_anew(tmp_path):
    pixels.complete(tmp_path, wanted(), 0)
    with pytest.raises(InputError, match="rendered from other recorded views; run `scmd pixels` again"):
        pixels.opened(tmp_path, wanted(seed=1))
    assert pixels.complete(tmp_path, wanted(seed=1), 0) == 15  # the clean view has the same numbers
    pixels.opened(tmp_path, wanted(seed=1))


def test_missing_pixels_say_which_command_makes_them(tmp_path):
    with pytest.raises(InputError, match="run `scmd pixels` first"):
        pixels.opened(tmp_path, wanted())


def test_pixels_that_are_cut_short_or_of_another_shape_are_refused(tmp_path):
    pixels.complete(tmp_path, wanted(), 0)
    data = (tmp_path / "pixels.npy").read_bytes()
    for size in (0, 50, len(data) - 1):
        (tmp_path / "pixels.npy").write_bytes(data[:size])
        with pytest.raises(InputError, match=r"pixels\.npy: missing or cut short"):
            pixels.opened(tmp_path, wanted())
    (tmp_path / "pixels.npy").write_bytes(data)
    np.save(tmp_path / "pixels.npy", np.load(tmp_path / "pixels.npy")[:-1])
    with pytest.raises(InputError, match=r"pixels\.npy: not the pictures that belong here"):
        pixels.opened(tmp_path, wanted())


def test_an_interruption_leaves_the_old_store_and_no_half_one(tmp_path, monkeypatch):
    pixels.complete(tmp_path, wanted(), 0)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    more = wanted(IDS)
    monkeypatch.setattr(Load, "__call__", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        pixels.complete(tmp_path, more, 0)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
