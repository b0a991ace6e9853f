"""Samples → a contact sheet: their pictures in a grid, with what is said of each beneath."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pipeline.writing import replacing

# Pixels of a picture's place, of the lines beneath, and between places; pictures in a row.
SIDE, TEXT, GAP, ACROSS = 160, 44, 12, 6


def write(pictures: Sequence[Image.Image | None], captions: Sequence[str], file: Path) -> None:
    """As PNG. A picture that is not here is an empty place. Raises ResourceError where the file cannot be written."""
    across = min(ACROSS, len(pictures))
    down = -(-len(pictures) // across)
    sheet = Image.new("RGB", (across * (SIDE + GAP) + GAP, down * (SIDE + TEXT + GAP) + GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for at, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left, top = GAP + at % across * (SIDE + GAP), GAP + at // across * (SIDE + TEXT + GAP)
        pen.rectangle((left - 1, top - 1, left + SIDE, top + SIDE), outline="#d0d7de")
        if picture is not None:
            small = picture.copy()
            small.thumbnail((SIDE, SIDE))
            sheet.paste(small, (left + (SIDE - small.width) // 2, top + (SIDE - small.height) // 2))
        for line, text in enumerate(caption.split("\n")):
            pen.text((left, top + SIDE + 3 + 14 * line), _fitting(text, font), fill="#1b1f24", font=font)
    with replacing(file) as partial:
        sheet.save(partial, "PNG")


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The end of a text that is too long: of a key, the file's name."""
    shown = text
    while font.getlength(shown) > SIDE:
        text = text[1:]
        shown = f"…{text}"
    return shown
