"""`docs/scaling.md`: its text, and what a cache costs by a model of what was measured; `python -m tests.scaling_page` writes it.

The measured points are those of `scmd benchmark growth` (`docs/benchmarks/cpu-growth.json`); a test holds the page.
"""

import json

import numpy as np

from tests.performance_page import DOCS, FIGURES

PAGE = DOCS / "scaling.md"
MARK = "<!-- table -->\n"
ROWS, VIEWS = (10**6, 10**8), (1, 8, 30)
# As the page says: seconds of a core to draw a view; views a second of ViT-B/32 and of ViT-L/14 on an H200.
DRAWN, ENCODED = 5.1e-3, (19_561, 1_726)
WRITE, VERIFY, OPEN = "s to write the rest", "s to verify", "s to open"
MODELLED = ("GB", "files", WRITE, VERIFY, OPEN)
COLUMNS = (
    *("rows", "V", "TB", "files", "core h to draw", "GPU h, ViT-B/32", "GPU h, ViT-L/14"),
    *("h to write", "h to verify", "s to open"),
)
Model = dict[str, tuple[float, float]]


def points() -> list[dict]:
    """What was measured of caches in blocks of 256: rows, views, and the figures."""
    found = json.loads((FIGURES / "cpu-growth.json").read_text())
    caches = [one for one in found if one["setting"]["what"] == "a cache of made-up rows"]
    return [{**one["setting"], **one["figures"]} for one in caches if one["setting"]["rows a block"] == 256]


def fitted(figure: str, measured: list[dict]) -> tuple[float, float]:
    """Of a figure its part a row and its part a row and view: least squares of relative errors."""
    sizes = np.array([(one["rows"], one["rows"] * one["views"]) for one in measured], float)
    values = np.array([one[figure] for one in measured])
    solved, *_ = np.linalg.lstsq(sizes / values[:, None], np.ones(len(values)), rcond=None)
    return float(solved[0]), float(solved[1])


def modelled(model: Model, figure: str, rows: int, views: int) -> float:
    a_row, a_view = model[figure]
    return a_row * rows + a_view * rows * views


def row(model: Model, rows: int, views: int) -> str:
    """Of the table."""
    size, files, write, verify, opened = (modelled(model, figure, rows, views) for figure in MODELLED)
    pictures = rows * views
    seconds = (pictures * DRAWN, *(pictures / rate for rate in ENCODED), write, verify)
    cells = [f"{rows:,}", str(views), f"{size / 1e3:.3g}", f"{files:,.0f}"]
    cells += [*(f"{one / 3600:,.3g}" for one in seconds), f"{opened:,.3g}"]
    return f"| {' | '.join(cells)} |"


def table() -> str:
    """What follows for larger sets from a model of the points, and how far these lie from it."""
    measured = points()
    model = {figure: fitted(figure, measured) for figure in MODELLED}
    off = [
        max(abs(modelled(model, figure, p["rows"], p["views"]) / p[figure] - 1) for p in measured)
        for figure in MODELLED
    ]
    sizes = ", ".join(f"{rows:,}" for rows in sorted({one["rows"] for one in measured}))
    missed = ", ".join(f"{one:.0%} ({figure})" for one, figure in zip(off, MODELLED, strict=True))
    return "\n".join(
        [
            f"By a model of {len(measured)} caches of {sizes} rows ([the points](performance.md): D = 512, C = 100, blocks of",
            f"256, two cores), a part a row and a part a row and view, which misses a point by at most {missed}:",
            "",
            f"| {' | '.join(COLUMNS)} |",
            "|---" * len(COLUMNS) + "|",
            *(row(model, rows, views) for rows in ROWS for views in VIEWS),
            "",
        ]
    )


def page() -> str:
    """The whole page."""
    return (FIGURES / "scaling.md").read_text(encoding="utf-8").replace(MARK, table())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
