"""Folders as registries: a module's file name is its name in YAML. Knows nothing of what the modules hold."""

import importlib
import pkgutil
from functools import lru_cache
from types import ModuleType

from experts.errors import InputError


@lru_cache(maxsize=64)
def known(package: str) -> tuple[str, ...]:
    """Names of the modules in `package` (`router.signals`), sorted; none of them is imported."""
    found = importlib.import_module(package)
    return tuple(sorted(m.name for m in pkgutil.iter_modules(found.__path__) if not m.name.startswith("_")))


@lru_cache(maxsize=512)
def load(package: str, name: str) -> ModuleType:
    """Import `package.name`; an unknown name raises `InputError` that lists the known ones."""
    if name not in known(package):
        folder = package.rpartition(".")[2]
        kind = f"{folder[:-3]}y" if folder.endswith("ies") else folder.rstrip("s")
        raise InputError(f"unknown {kind} {name!r}; known: {', '.join(known(package))}")
    return importlib.import_module(f"{package}.{name}")
