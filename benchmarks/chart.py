"""The chart: a panel per work, a bar per contender."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from benchmarks.contenders import CATALOGUE
from benchmarks.results import Section

COLUMNS = 2
OURS_COLOUR, OTHERS_COLOUR, TEXT_COLOUR = "#1f6feb", "#b8c0cc", "#24292f"


def draw(sections: list[Section], caption: str, path: Path) -> None:
    """Write the panels of those sections that have one; nothing where none has."""
    shown = [section for section in sections if section.measure.panel]
    if not shown:
        return
    rows = -(-len(shown) // COLUMNS)
    figure, grid = plt.subplots(rows, COLUMNS, figsize=(12, 2.9 * rows + 0.8), squeeze=False)
    for axes, section in zip(grid.flat, shown, strict=False):
        _panel(axes, section)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    figure.text(0.5, 0.005, caption, ha="center", fontsize=8, color=TEXT_COLOUR)
    figure.tight_layout(rect=(0, 0.02, 1, 1), h_pad=2)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _panel(axes: Axes, section: Section) -> None:
    lines = sorted(section.lines, key=lambda line: line.median)
    medians = [line.median for line in lines]
    names = [CATALOGUE[line.contender].title for line in lines]
    colours = [OURS_COLOUR if line.contender == section.ours else OTHERS_COLOUR for line in lines]
    below = [line.median - min(line.values) for line in lines]
    above = [max(line.values) - line.median for line in lines]
    axes.barh(names, medians, color=colours, height=0.7)
    axes.errorbar(
        medians, names, xerr=(below, above), fmt="none", ecolor=TEXT_COLOUR, elinewidth=1, capsize=2
    )
    for name, line in zip(names, lines, strict=True):
        axes.annotate(
            f"{line.median:,.0f}",
            (max(line.values), name),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=TEXT_COLOUR,
        )
    axes.set_title(section.measure.panel, loc="left", fontsize=11, fontweight="bold", color=TEXT_COLOUR)
    axes.set_xlabel(section.measure.unit, fontsize=9)
    axes.set_xlim(0, max(max(line.values) for line in lines) * 1.15)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.tick_params(labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
