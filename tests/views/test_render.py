"""A view's numbers → the pixels that torchvision's transforms would draw with them."""

import numpy as np
import pytest
import torchvision.transforms.v2.functional as tv
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import InterpolationMode

from pipeline.views.distribution import CLEAN, Distribution, view_numbers
from pipeline.views.render import crop_box, probe, render, squash
from tests.conftest import draw_image

IMAGE = draw_image("clay", "disc", 1)


def numbers(**changes) -> np.ndarray:
    from pipeline.views.distribution import COLUMNS

    values = dict(zip(COLUMNS, CLEAN.tolist(), strict=True))
    return np.array(list((values | changes).values()), np.float32)


def test_no_change_is_the_resized_image():
    whole = tv.resize(IMAGE, [24, 24], InterpolationMode.BILINEAR, antialias=True)
    assert (render(IMAGE, CLEAN, 24) == np.asarray(whole)).all()
    assert (squash(IMAGE, 24) == np.asarray(whole)).all()


@pytest.mark.parametrize(
    ("column", "value", "operation"),
    [
        ("brightness", 1.25, tv.adjust_brightness),
        ("contrast", 0.75, tv.adjust_contrast),
        ("saturation", 1.3, tv.adjust_saturation),
        ("hue", -0.25, tv.adjust_hue),
    ],
)
def test_each_colour_number_is_torchvisions_operation(column, value, operation):
    expected = operation(tv.resize(IMAGE, [24, 24], antialias=True), float(np.float32(value)))
    assert (render(IMAGE, numbers(**{column: value}), 24) == np.asarray(expected)).all()


def test_the_order_of_operations_is_the_recorded_permutation():
    # Order 6 of the 24 permutations of (0, 1, 2, 3) in lexical order is (1, 0, 2, 3): contrast before brightness.
    view = numbers(brightness=0.8, contrast=1.3, order=6)
    small = tv.resize(IMAGE, [24, 24], antialias=True)
    expected = tv.adjust_brightness(tv.adjust_contrast(small, float(view[6])), float(view[5]))
    assert (render(IMAGE, view, 24) == np.asarray(expected)).all()


def test_a_flip_mirrors_left_and_right():
    assert (render(IMAGE, numbers(flip=1), 24) == render(IMAGE, CLEAN, 24)[:, ::-1]).all()


def test_grey_has_three_equal_channels():
    drawn = render(IMAGE, numbers(grey=1), 24)
    assert (drawn[..., :1] == drawn).all()


def test_the_box_is_in_the_original_images_pixels():
    left, top, width, height = 5, 7, 20, 30
    view = numbers(
        left=left / IMAGE.width, top=top / IMAGE.height, width=width / IMAGE.width, height=height / IMAGE.height
    )
    assert crop_box(view, IMAGE.width, IMAGE.height) == (top, left, height, width)
    expected = IMAGE.crop((left, top, left + width, top + height))
    assert (render(IMAGE, view, 24) == np.asarray(tv.resize(expected, [24, 24], antialias=True))).all()


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 20), st.integers(8, 40))
def test_any_drawn_view_renders_at_any_size(seed, view, size):
    pixels = render(IMAGE, view_numbers(Distribution(), seed, "id", view, *IMAGE.size), size)
    assert pixels.shape == (size, size, 3)
    assert pixels.dtype == np.uint8


def test_the_probe_is_a_fixed_grid_of_sixteen_pixels():
    pixels = np.arange(32 * 32 * 3, dtype=np.int64).reshape(32, 32, 3)
    seen = probe(pixels)
    assert seen.shape == (48,)
    assert (seen[:3] == pixels[4, 4]).all()
    assert (seen[-3:] == pixels[28, 28]).all()
