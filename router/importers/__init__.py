"""Other routers' configurations, turned into ours: a file each, named as in `madrigal import NAME`.

A file holds `convert(config, knowledge) -> Imported`: data in, data out; it reads and writes no file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Lost:
    """Something of the other configuration that ours does not say: where it is there, and what became of it."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


@dataclass(slots=True)
class Imported:
    """A policy file's data, the files it names (name → JSON), and what was not carried over."""

    policy: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    lost: list[Lost] = field(default_factory=list)

    def lose(self, place: str, what: str) -> None:
        """Note what was not carried over, once."""
        if (lost := Lost(place, what)) not in self.lost:
            self.lost.append(lost)
