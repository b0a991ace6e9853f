"""Eleven numbers from (seed, id, view, width, height), and nothing else."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import RandomResizedCrop

from pipeline.errors import InputError
from pipeline.views.distribution import (
    CLEAN,
    COLUMNS,
    Distribution,
    in_known_columns,
    is_drawable,
    uniforms,
    view_numbers,
)
from pipeline.views.render import crop_box
from tests.conftest import draw_many

PAPER = Distribution()
# Drawing version 1, as it was the day it was fixed: every cache in the world holds views drawn so.
GOLDEN_BOX = (33, 2, 424, 555)
GOLDEN_COLOURS = [1, 1.095989, 0.758988, 1.012132, -0.001728, 10, 0]
sides = st.integers(1, 3000)


def test_the_generator_is_the_one_of_the_format():
    # SHA-256 of "7:ab:1:0", first eight bytes big-endian, upper 53 bits; worked out with sha256sum.
    import hashlib

    first = int(hashlib.sha256(b"7:ab:1:0").hexdigest()[:16], 16)
    assert next(uniforms(7, "ab", 1)) == (first >> 11) / 2**53


def test_a_known_view_stays_as_it_was_first_drawn():
    numbers = view_numbers(PAPER, 0, "00" * 32, 1, 640, 480)
    assert numbers.dtype == np.float32
    assert crop_box(numbers, 640, 480) == GOLDEN_BOX
    assert np.allclose(numbers[4:], GOLDEN_COLOURS, atol=1e-6)


def test_view_0_is_clean():
    assert view_numbers(PAPER, 3, "ff", 0, 10, 20).tolist() == CLEAN.tolist() == [0, 0, 1, 1, 0, 1, 1, 1, 0, 0, 0]


@given(st.integers(0, 2**31), st.text("0123456789abcdef", min_size=1), st.integers(1, 99), sides, sides)
def test_every_number_lies_where_the_distribution_says(seed, sample_id, view, width, height):
    numbers = dict(zip(COLUMNS, view_numbers(PAPER, seed, sample_id, view, width, height).tolist(), strict=True))
    top, left, crop_height, crop_width = crop_box(np.array(list(numbers.values()), np.float32), width, height)
    assert 0 <= left <= left + crop_width <= width
    assert 0 <= top <= top + crop_height <= height
    assert crop_width >= 1
    assert crop_height >= 1
    assert is_drawable(np.array(list(numbers.values()), np.float32))
    assert numbers["flip"] in (0, 1)
    assert numbers["grey"] in (0, 1)
    assert numbers["order"] in range(24)
    assert all(0.7 <= round(numbers[name], 5) <= 1.3 for name in ("brightness", "contrast", "saturation"))
    assert abs(numbers["hue"]) <= 0.3 + 1e-6


def test_neither_order_nor_company_changes_a_view():
    samples = [("aa", 30, 40), ("bb", 50, 20), ("cc", 10, 10)]
    together = draw_many(PAPER, 1, samples, range(4))
    backwards = draw_many(PAPER, 1, samples[::-1], range(4))[::-1]
    alone = view_numbers(PAPER, 1, "bb", 3, 50, 20)
    assert (together == backwards).all()
    assert (together[1, 3] == alone).all()


def test_shares_are_the_papers():
    views = draw_many(PAPER, 0, [(f"{number:04x}", 120, 80) for number in range(1000)], range(1, 3)).reshape(-1, 11)
    at = {name: views[:, index] for index, name in enumerate(COLUMNS)}
    assert abs(at["flip"].mean() - 0.5) < 0.04
    assert abs(at["grey"].mean() - 0.1) < 0.03
    assert len(set(at["order"].tolist())) == 24
    torch.manual_seed(0)
    image = torch.zeros(3, 80, 120)
    boxes = [RandomResizedCrop.get_params(image, [0.7, 1.0], [3 / 4, 4 / 3]) for _ in range(2000)]
    theirs = np.array([[left / 120, top / 80, width / 120, height / 80] for top, left, height, width in boxes])
    assert np.abs(views[:, :4].mean(0) - theirs.mean(0)).max() < 0.01
    assert np.abs(views[:, :4].std(0) - theirs.std(0)).max() < 0.01


@pytest.mark.parametrize(
    ("column", "number"),
    [
        ("left", -0.1),
        ("left", 1e30),
        ("top", 0.9),
        ("width", 700),
        ("height", 0),
        ("flip", 0.5),
        ("brightness", -1),
        ("contrast", 3),
        ("hue", 3),
        ("order", 24),
        ("order", 1.5),
        ("grey", 2),
    ],
)
def test_numbers_of_no_view_are_known(column, number):
    numbers = np.stack([view_numbers(PAPER, 0, "ab", view, 30, 20) for view in range(4)])
    numbers[2, COLUMNS.index(column)] = number
    assert is_drawable(numbers).tolist() == [True, True, False, True]


def test_recorded_columns_may_stand_in_another_order_and_what_is_not_recorded_was_not_changed():
    numbers = view_numbers(PAPER, 0, "ab", 1, 30, 20)
    order = [COLUMNS.index(name) for name in ("hue", "left", "top", "width", "height")]
    found = in_known_columns(numbers[order], ["hue", "left", "top", "width", "height"])
    expected = CLEAN.copy()
    expected[order] = numbers[order]
    assert found.tolist() == expected.tolist()
    assert in_known_columns(numbers, COLUMNS).tolist() == numbers.tolist()


def test_a_column_that_cannot_be_drawn_by_is_refused_by_name():
    with pytest.raises(InputError, match="drawn with `blur`, by which this version cannot draw"):
        in_known_columns(np.zeros((2, 12), np.float32), [*COLUMNS, "blur"])
    with pytest.raises(InputError, match="views have 11 numbers, and `view_columns` names 1"):
        in_known_columns(np.zeros((2, 11), np.float32), ["left"])
