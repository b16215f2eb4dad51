"""Where plugins are found: our folder, and a user's own that `plugins: {folder: …}` names. Knows nothing of what they do.

A user's file is Python that runs in the server, as trusted as the server itself; it is loaded when the policy is checked.
"""

import importlib.util
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from experts import registry
from experts.errors import ConfigError
from experts.spec import Frozen
from orchestrator.policy_file import PLUGINS


def known(folder: Path | None) -> tuple[str, ...]:
    """Names of all plugins, ours first; a user's own may not have the name of one of ours, and is then not listed."""
    ours = registry.known(PLUGINS)
    own = sorted(path.stem for path in folder.glob("[!_]*.py")) if folder is not None else []
    return (*ours, *(name for name in own if name not in ours))


def load(name: str, folder: Path | None) -> ModuleType:
    """A plugin's file. Raises `ConfigError` where a user's own cannot be run, or keeps not the contract."""
    if name in registry.known(PLUGINS) or folder is None:
        return registry.load(PLUGINS, name)
    path = folder / f"{name}.py"
    return _own(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _own(path: Path, stamp: int) -> ModuleType:
    name = f"madrigal_plugin_{path.stem}_{stamp}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pydantic looks a model's annotations up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's code raises
        raise ConfigError(f"it cannot be loaded: {type(error).__name__}: {error}", file=str(path)) from error
    params, build = getattr(module, "Params", None), getattr(module, "build", None)
    if not (isinstance(params, type) and issubclass(params, Frozen) and callable(build)):
        raise ConfigError(
            "a plugin holds a class Params (a subclass of experts.spec.Frozen) and a function build(params, kit)",
            file=str(path),
            remedy="orchestrator/plugins/__init__.py says what each does.",
        )
    return module
