"""The heat map of skill profiles, drawn with matplotlib into a file. Knows nothing of how profiles were made."""

from collections.abc import Sequence
from pathlib import Path

from experts.errors import ConfigError
from router.skills import Skills


def draw(skills: Skills, order: Sequence[int], path: Path) -> None:
    """Accuracy (shrunk) of every expert in the skills `order`, in percent, with the number of items. Blocks.

    The kind of file follows from its suffix (.png, .svg, .pdf). Raises `ConfigError` where it cannot be written.
    """
    from matplotlib.figure import Figure

    table = 100 * skills.table()[list(order)]  # [rows, E]
    figure = Figure(figsize=(3.5 + 0.7 * len(skills.experts), 1.6 + 0.28 * len(order)), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(table, cmap="RdYlGn", vmin=0, vmax=100, aspect="auto")
    axes.set_yticks(range(len(order)), [f"{skills.names[s]}  ({skills.items[s]:.0f})" for s in order], fontsize=7)
    names = [f"{name}  {100 * share:.0f}%" for name, share in zip(skills.experts, skills.overall.tolist(), strict=True)]
    axes.set_xticks(range(len(names)), names, fontsize=7, rotation=35, ha="right", rotation_mode="anchor")
    for row, line in enumerate(table):
        for column, share in enumerate(line):
            axes.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=6)
    axes.set_title("Accuracy by skill, shrunk by evidence (items in brackets)", fontsize=8)
    figure.colorbar(image, ax=axes, label="% right", shrink=0.6)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the heat map cannot be written to {path}: {error}") from error
