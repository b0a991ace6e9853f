"""What a viewer would show is what the networks get; the rest has a reason."""

import io
import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from pipeline.samples import images
from pipeline.samples.images import UnreadableError, decode

RED = Image.new("RGB", (12, 8), (200, 30, 40))


def saved(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def reason(data: bytes) -> str:
    with pytest.raises(UnreadableError) as caught:
        decode(data, exif=True)
    return str(caught.value)


@pytest.mark.parametrize("format", ["PNG", "BMP", "WEBP", "JPEG", "TIFF", "PPM", "GIF", "AVIF"])
def test_every_format_is_read_as_rgb(format):
    options = {"lossless": True} if format == "WEBP" else {}
    picture = decode(saved(RED, format, **options), exif=True)
    assert picture.mode == "RGB"
    assert picture.size == (12, 8)
    assert np.abs(np.asarray(picture).astype(int) - np.array([200, 30, 40])).max() <= 6


def test_grey_becomes_three_equal_channels():
    assert decode(saved(Image.new("L", (3, 3), 77), "PNG"), exif=True).getpixel((1, 1)) == (77, 77, 77)


def test_transparency_lies_over_white():
    half = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    half.putpixel((1, 0), (0, 0, 0, 255))
    picture = decode(saved(half, "PNG"), exif=True)
    assert picture.getpixel((0, 0)) == (255, 255, 255)
    assert picture.getpixel((1, 0)) == (0, 0, 0)


def test_a_palette_with_a_transparent_entry_lies_over_white():
    palette = Image.new("P", (2, 1), 0)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 0), 1)
    picture = decode(saved(palette, "PNG", transparency=0), exif=True)
    assert picture.getpixel((0, 0)) == (255, 255, 255)
    assert picture.getpixel((1, 0)) == (200, 100, 50)


def test_cmyk_is_converted():
    picture = decode(saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"), exif=True)
    red, green, blue = picture.getpixel((4, 4))
    assert red > 200
    assert max(green, blue) < 60


def test_sixteen_bits_keep_their_high_byte():
    deep = Image.fromarray(np.full((4, 4), 0x80FF, np.uint16))
    assert decode(saved(deep, "PNG"), exif=True).getpixel((0, 0)) == (0x80, 0x80, 0x80)


def test_exif_rotation_is_applied_unless_the_data_set_says_no():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(RED, "JPEG", exif=exif)
    assert decode(data, exif=True).size == (8, 12)
    assert decode(data, exif=False).size == (12, 8)


def oriented(entry: bytes, behind: bytes = b"") -> bytes:
    """A JPEG with one twelve-byte EXIF entry, and what lies behind the table."""
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 1) + entry + bytes(4) + behind
    return saved(RED, "JPEG", exif=exif)


@pytest.mark.parametrize(
    ("entry", "behind"),
    [
        (struct.pack("<HHLL", 0x0112, 3, 0, 0), b""),
        (struct.pack("<HHLL", 0x0112, 3, 1, 99), b""),
        (struct.pack("<HHL", 0x0112, 2, 2) + b"6\0\0\0", b""),
        (struct.pack("<HHLL", 0x011A, 5, 1, 26), struct.pack("<ll", -1, 0)),
        (struct.pack("<HHLL", 0x011A, 5, 1, 26), b""),
        (struct.pack("<HHLL", 0x8769, 4, 1, 9999999), b""),
        (struct.pack("<HHLL", 0x8769, 13, 1, 8), b""),
        (struct.pack("<HHLL", 0x9204, 10, 7, 26), struct.pack("<ll", -5, 0)),
    ],
)
def test_odd_exif_on_sound_pixels_keeps_the_picture(entry, behind):
    assert decode(oriented(entry, behind), exif=True).size == (12, 8)


@given(st.binary(max_size=200), st.integers(0, 12))
def test_no_exif_block_makes_a_sound_picture_unreadable(block, kind):
    entry = struct.pack("<HHLL", 0x0112, kind, len(block) % 7, 26)
    for exif in (b"Exif\0\0" + block, b"Exif\0\0II*\0" + block, b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + block):
        assert decode(saved(RED, "JPEG", exif=exif), exif=True).size in ((12, 8), (8, 12))


@pytest.mark.parametrize("turn", range(1, 9))
def test_orientations_turn_as_pillows_own_transposition(turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    data = saved(Image.fromarray(np.arange(96, dtype=np.uint8).reshape(8, 12)), "PNG", exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert np.array_equal(np.asarray(decode(data, exif=True)), np.asarray(expected))


def test_of_an_animation_the_first_frame_is_taken():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert decode(data, exif=True).getpixel((0, 0)) == (255, 0, 0)


def test_a_wrong_suffix_does_not_matter_as_content_decides():
    assert decode(saved(RED, "PNG"), exif=True).size == (12, 8)


def test_what_cannot_be_shown_has_a_reason():
    whole = saved(RED.resize((64, 64)), "JPEG")
    assert reason(b"") == "empty file"
    assert "damaged" in reason(whole[: len(whole) // 2])
    assert "not an image" in reason(b"<html>404</html>")
    assert "floating-point" in reason(saved(Image.new("F", (2, 2)), "TIFF"))


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 95)
    assert "12 × 8 pixels" in reason(saved(RED, "PNG"))


@given(st.data())
def test_broken_bytes_never_raise_anything_else(data):
    whole = bytearray(saved(RED, data.draw(st.sampled_from(["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"]))))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(UnreadableError):
        assert decode(bytes(whole), exif=True).mode == "RGB"
