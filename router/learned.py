"""`Learned`: a selector fitted on recorded outcomes, as numbers and their provenance, in one small file.

The file is a `.safetensors`: arrays, and one JSON text that says what they are. Nothing in it is ever executed. Knows
nothing of how models are fitted or of what their numbers mean.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experts.errors import ConfigError
from router.outcomes import Asked
from router.vectors import EMBEDDER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FORMAT = "madrigal-selector/1"
HELD_OUT = "held_out"
"""The array of predictions for prompts that were not fitted on, float16 [≤ 1000, E]: where thresholds begin."""

Predict = Callable[[Asked], "NDArray[np.float64]"]
"""From what is asked to a predicted score for each expert, float64 [N, E], in the model's order of experts."""


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What was fitted: the selector that reads it, the experts in the order of its arrays, arrays and settings.

    `provenance` says where it came from: `data` (files by SHA-256), `command`, `date`, `seed`, `rows`, `held_out`.
    """

    selector: str
    experts: tuple[str, ...]
    arrays: "Mapping[str, NDArray[Any]]"
    settings: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    embedder: str = EMBEDDER

    def came(self, **provenance: Any) -> "Learned":
        """The same model, with this provenance added."""
        return replace(self, provenance={**self.provenance, **provenance})


def save(learned: Learned, path: Path) -> None:
    """Write it, whole or not at all. Blocks. Raises `ConfigError` where the file cannot be written."""
    import numpy as np
    from safetensors.numpy import save as packed

    told = {
        "format": _FORMAT,
        "selector": learned.selector,
        "experts": list(learned.experts),
        "embedder": learned.embedder,
        "settings": dict(learned.settings),
        "provenance": dict(learned.provenance),
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in learned.arrays.items()}
    data = packed(arrays, metadata={"madrigal": json.dumps(told, sort_keys=True)})
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"the model cannot be written to {path}: {error.strerror}") from error


def load(path: Path, *, selector: str | None = None, experts: Sequence[str] | None = None) -> Learned:
    """Read one. Blocks.

    Raises `ConfigError` for what is no such file, for another selector's or another embedder's model, and where it
    does not know one of `experts`.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ConfigError(
            f"there is no fitted model {path}", remedy=f"Fit one: madrigal router fit … --out {path.name}."
        )
    try:
        with safe_open(path, "numpy") as file:
            told = json.loads((file.metadata() or {}).get("madrigal", "{}"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise ConfigError(f"{path} is not a fitted model: {error}", remedy="Fit it again.") from error
    if told.get("format") != _FORMAT:
        raise ConfigError(
            f"{path} is not a model of {_FORMAT}, but {told.get('format', 'something else')}", remedy="Fit it again."
        )
    if selector is not None and told["selector"] != selector:
        raise ConfigError(
            f"{path} was fitted for the selector {told['selector']}, not {selector}",
            remedy=f"Write `type: {told['selector']}`, or fit one for {selector}.",
        )
    if told["embedder"] != EMBEDDER:
        raise ConfigError(
            f"{path} was fitted on vectors of {told['embedder']}; here they are made by {EMBEDDER}",
            remedy="Fit it again with this version.",
        )
    if strangers := [name for name in experts or () if name not in told["experts"]]:
        raise ConfigError(
            f"{path} was fitted without {', '.join(strangers)}",
            remedy=f"It knows {', '.join(told['experts'])}: leave the others out, or fit it again with their outcomes.",
        )
    return Learned(
        told["selector"], tuple(told["experts"]), arrays, told["settings"], told["provenance"], told["embedder"]
    )
