"""A strategy's graph as a picture, drawn by matplotlib: offline, unlike LangGraph's own. Knows nothing of strategies.

Steps stand in rows, each below the longest way that leads to it; ways back and over several rows go around the side. A
dashed way is one of several that a step chooses among.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experts.errors import ConfigError

if TYPE_CHECKING:
    from langchain_core.runnables.graph import Edge, Graph

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y = 1.9, 0.5, 0.7, 1.15
_ENDS = {"__start__": "request", "__end__": "answer"}
_FILL = {"__start__": "white", "__end__": "#bfb6fc"}


def rows(names: Sequence[str], edges: "Sequence[Edge]") -> dict[str, int]:
    """The row of each step: one more than the lowest row it is reached from, ways back left out."""
    found: dict[str, int] = {}

    def visit(name: str, row: int, way: frozenset[str]) -> None:
        if name in way or found.get(name, -1) >= row:
            return
        found[name] = row
        for edge in edges:
            if edge.source == name:
                visit(edge.target, row + 1, way | {name})

    visit(names[0], 0, frozenset())
    return found


def draw(graph: "Graph", title: str, path: Path) -> None:
    """Draw a graph into a file; its kind follows from the suffix (.png, .svg, .pdf). Blocks.

    Raises `ConfigError` where it cannot be written.
    """
    from matplotlib.figure import Figure

    row = rows(list(graph.nodes), graph.edges)
    places = _places(row)
    widest = max(x for x, _ in places.values()) + _WIDTH / 2
    depth = max(row.values())
    room = widest + 1.2
    figure = Figure(figsize=(2 * room, (depth + 1) * _GAP_Y + 0.5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlim(-room, room)
    axes.set_ylim(-depth * _GAP_Y - 0.6, 0.6)
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title(title, fontsize=11, fontweight="bold")
    for edge in graph.edges:
        _way(axes, edge, places, row)
    for name, (x, y) in places.items():
        _step(axes, name, x, y)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the graph cannot be drawn into {path}: {error}") from error


def _places(row: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """The middle of each step: rows downwards, those of one row side by side."""
    places = {}
    for number in sorted(set(row.values())):
        names = [name for name, at in row.items() if at == number]
        for at, name in enumerate(names):
            places[name] = ((at - (len(names) - 1) / 2) * (_WIDTH + _GAP_X), -number * _GAP_Y)
    return places


def _step(axes: Any, name: str, x: float, y: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    style = "round,pad=0.02,rounding_size=0.22" if name in _ENDS else "round,pad=0.02,rounding_size=0.08"
    box = FancyBboxPatch(
        (x - _WIDTH / 2, y - _HEIGHT / 2),
        _WIDTH,
        _HEIGHT,
        boxstyle=style,
        facecolor=_FILL.get(name, "#f2f0ff"),
        edgecolor="#6b5fb5",
        zorder=3,
    )
    axes.add_patch(box)
    axes.text(x, y, _ENDS.get(name, name), ha="center", va="center", fontsize=10, zorder=4)


def _way(axes: Any, edge: "Edge", places: Mapping[str, tuple[float, float]], row: Mapping[str, int]) -> None:
    """An arrow: straight to the next row, around the right side over several rows, around the left side back up."""
    (x, y), (to_x, to_y) = places[edge.source], places[edge.target]
    down = row[edge.target] - row[edge.source]
    side = _WIDTH / 2 + 0.03
    if edge.source == edge.target:
        begin, end, bend = (x - side, y + 0.14), (x - side, y - 0.14), 1.8
    elif down == 1:
        begin, end, bend = (x, y - _HEIGHT / 2 - 0.03), (to_x, to_y + _HEIGHT / 2 + 0.03), 0.0
    elif down > 1:
        begin, end, bend = (x + side, y), (to_x + side, to_y), -0.9 / down
    else:
        begin, end, bend = (x - side, y), (to_x - side, to_y), -0.9 / max(1, -down)
    axes.annotate(
        "",
        xy=end,
        xytext=begin,
        zorder=2,
        arrowprops={
            "arrowstyle": "-|>",
            "color": "#444444",
            "linestyle": "--" if edge.conditional else "-",
            "connectionstyle": f"arc3,rad={bend}",
            "shrinkA": 0,
            "shrinkB": 0,
            "mutation_scale": 12,
        },
    )
