"""A matplotlib figure → SVG that stands in a page: its ink is the page's colour, its names are its own, it scales."""

import io
import re
import warnings
from contextlib import AbstractContextManager
from typing import Any
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

# Stands for the page's text colour, light or dark; no plot has it otherwise.
INK = "#010203"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # letters stay letters
    "text.parse_math": False,  # a name may hold dollars
    "svg.hashsalt": "scmd",  # the same figure is the same text
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.15,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "savefig.transparent": True,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"), INK
    ),
}
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
ElementTree.register_namespace("", _SVG)
ElementTree.register_namespace("xlink", _XLINK)


def style() -> AbstractContextManager[None]:
    """In which figures are made: what they look like is read when their parts are made."""
    return matplotlib.rc_context(_STYLE)


def inline(figure: Figure, name: str, description: str) -> Markup:
    """An `<svg>` element that a screen reader tells by its `description`; `name` is the figure's alone in its page."""
    buffer = io.StringIO()
    with style(), warnings.catch_warnings():
        # Letters stay letters: the reader's browser has the fonts that this machine may lack.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for child in list(root):
        if child.tag == f"{{{_SVG}}}metadata":
            root.remove(child)
    _own_names(root, name)
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.set("role", "img")
    root.set("aria-label", description)
    return Markup(ElementTree.tostring(root, encoding="unicode").replace(INK, "currentColor"))


def _own_names(root: ElementTree.Element, name: str) -> None:
    """Names that are referred to become this figure's own; others, which every figure would have, go."""
    text = ElementTree.tostring(root, encoding="unicode")
    wanted = set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text))
    for element in root.iter():
        known = element.attrib.pop("id", None)
        if known in wanted:
            element.set("id", f"{name}-{known}")
        for key, value in element.attrib.items():
            if key == f"{{{_XLINK}}}href" and value.startswith("#"):
                element.set(key, f"#{name}-{value[1:]}")
            elif "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{name}-"))
