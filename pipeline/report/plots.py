"""Series of numbers → matplotlib figures. What they show is computed elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pipeline.report.measures import Reliability
from pipeline.report.svg import INK, style

# Okabe and Ito's, which colour-blind readers tell apart, without those that vanish on white or black; marks tell them apart, too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#B8860B", "#7F7F7F")
# One less than colours, so that an eighth line has a pair of its own.
MARKS = ("o", "s", "^", "D", "v", "P")
PANEL = (4.4, 3.1)
SQUARE = (4.4, 4.2)
# From nothing to full blue: what lies beneath shows through, be it light or dark.
SHADES = LinearSegmentedColormap.from_list("shades", [(0.15, 0.5, 0.8, 0.0), (0.15, 0.5, 0.8, 1.0)])


@dataclass(frozen=True)
class Line:
    """`values` at `steps`; a `strong` one is what the plot is about. `chosen` are points of it that are marked."""

    name: str
    steps: Sequence[int]
    values: Sequence[float]
    strong: bool = True
    chosen: Sequence[tuple[int, float]] = ()


def over_steps(title: str, label: str, lines: Sequence[Line], order: Sequence[str], *, share: bool) -> Figure:
    """Lines over training; shares are shown in per cent. A name has the same colour wherever `order` is the same."""
    figure, axes = _panel(title, PANEL)
    drawn: list[Line2D] = []
    for line in lines:
        at = order.index(line.name)
        colour, mark = COLOURS[at % len(COLOURS)], MARKS[at % len(MARKS)]
        width, style = (1.8, "-") if line.strong else (1.1, "--")
        drawn += axes.plot(line.steps, line.values, style, color=colour, marker=mark, markersize=3.5, linewidth=width)
        for step, value in line.chosen:
            axes.plot([step], [value], marker="o", markersize=11, fillstyle="none", color=INK, markeredgewidth=1.2)
    axes.set_xlabel("step")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if share:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    if len(lines) > 1:
        _legend(figure, drawn, [line.name for line in lines])
    return figure


def reliability(title: str, curves: Mapping[str, Reliability], errors: Mapping[str, float]) -> Figure:
    """Accuracy against confidence; a point's area goes with its number of answers. `errors` are the ECE of each curve."""
    figure, axes = _panel(title, SQUARE)
    drawn = axes.plot([0, 1], [0, 1], ":", color=INK, linewidth=1)
    for curve, colour, mark in zip(curves.values(), COLOURS, MARKS, strict=False):
        confidence, accuracy = curve.filled
        weights = curve.counts[curve.counts > 0] / max(1, curve.counts.sum())
        drawn += axes.plot(confidence, accuracy, color=colour, linewidth=1.4)
        axes.scatter(confidence, accuracy, s=10 + 250 * weights, color=colour, marker=mark, alpha=0.8)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _legend(figure, drawn, ["calibrated", *(f"{name} (ECE {100 * errors[name]:.1f} %)" for name in curves)])
    return figure


def confusion(title: str, matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """(C, C) counts as shares of each label's samples."""
    figure, axes = _panel(title, SQUARE)
    _shade(figure, axes, matrix / np.maximum(1, matrix.sum(1, keepdims=True)), most=1.0)
    _name_ticks(axes, names, names)
    axes.set(xlabel="answer", ylabel="label")
    return figure


def over_time(title: str, shares: np.ndarray, names: Sequence[str], steps: Sequence[int]) -> Figure:
    """(names, steps) shares, shaded."""
    figure, axes = _panel(title, PANEL)
    _shade(figure, axes, shares, most=float(shares.max()))
    _name_ticks(axes, names, [str(step) for step in steps])
    axes.set_xlabel("until step")
    return figure


def _shade(figure: Figure, axes: Axes, values: np.ndarray, most: float) -> None:
    image = axes.imshow(values, cmap=SHADES, vmin=0, vmax=most, aspect="auto", interpolation="nearest")
    axes.grid(visible=False)
    with style():
        bar = figure.colorbar(image, ax=axes, format=PercentFormatter(1.0, decimals=0), fraction=0.05)
    bar.outline.set_visible(False)


def _name_ticks(axes: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    every = max(1, len(columns) // 24)
    with style():
        axes.set_xticks(
            range(0, len(columns), every), columns[::every], rotation=90, fontsize=_fitting(len(columns) / every)
        )
        axes.set_yticks(range(len(rows)), rows, fontsize=_fitting(len(rows)))


def _fitting(names: float) -> float:
    """The size of letters by which so many names have room in a panel."""
    return min(8.0, 150 / max(1.0, names))


def _panel(title: str, size: tuple[float, float]) -> tuple[Figure, Axes]:
    with style():
        figure = Figure(size, layout="constrained")
        axes = figure.subplots()
        axes.set_title(title, loc="left")
    return figure, axes


def _legend(figure: Figure, drawn: Sequence[Line2D], names: Sequence[str]) -> None:
    """By names given here: of labels, matplotlib keeps those that begin with an underscore for itself."""
    with style():
        figure.legend(drawn, names, loc="outside lower left", ncols=3, columnspacing=1.2, handlelength=2.4)
