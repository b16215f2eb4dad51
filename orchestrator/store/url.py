"""Which database URLs are accepted, and how they are shown. Opens nothing.

Accepted: `sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql://user:password@host:5432/name`, and the same
with the async driver named (`sqlite+aiosqlite`, `postgresql+asyncpg`).
"""

import re
from pathlib import Path
from urllib.parse import quote

from platformdirs import user_data_path
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from experts.errors import StoreError

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
_REMEDY = "Use sqlite:///path/to/file.db or postgresql://user:password@host:5432/name."


def default_url() -> str:
    """The SQLite file in the user's data folder, where no URL was given."""
    return "sqlite:///" + quote(str(user_data_path("madrigal") / "madrigal.db"))


def parse(url: str) -> URL:
    """`url` with the driver we use. Raises `StoreError`, never showing a password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise StoreError(f"the store needs a database URL; {_redact(url)!r} is none.", remedy=_REMEDY) from None
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise StoreError(f"the store cannot use {parsed.drivername!r} databases.", remedy=_REMEDY)
    parsed = parsed.set(drivername=driver)
    return _sqlite(parsed) if driver.startswith("sqlite") else parsed


def shown(url: URL) -> str:
    """`url` as people write it, without its password."""
    plain = url.set(drivername=url.get_backend_name())
    if "password" in plain.query:
        plain = plain.update_query_dict({"password": "***"})
    return plain.render_as_string(hide_password=True)


def _sqlite(url: URL) -> URL:
    name = url.database
    if url.host or not name or name == ":memory:" or name.startswith("file:"):
        # Each connection of the pool would see a database of its own.
        raise StoreError(
            "the store needs a SQLite file that several connections can share.",
            remedy="Use sqlite:///relative/path.db or sqlite:////absolute/path.db (four slashes).",
        )
    return url.set(database=str(Path(name).expanduser().absolute()))


def _redact(url: str) -> str:
    return re.sub(r"(?<=:)[^:/@]*(?=@)|(?<=password=)[^&]*", "***", url)
