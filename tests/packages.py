"""Python packages that only a test needs and our environment must not hold: another version, or what contradicts ours."""

import subprocess
import sys
from pathlib import Path

from filelock import FileLock

CACHE = Path(__file__).parent.parent / ".cache" / "clients"


def installed(*pinned: str) -> Path:
    """A folder for `PYTHONPATH` that holds exactly these `name==version`s, without what they depend on.

    Installed once and kept. Raises `CalledProcessError` where the package index cannot be reached.
    """
    folder = CACHE / "+".join(pinned).replace("==", "-")
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / ".complete").exists():
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target"]
            subprocess.run([*command, str(folder), *pinned], check=True, timeout=300)
            (folder / ".complete").touch()
    return folder
