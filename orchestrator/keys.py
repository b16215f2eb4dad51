"""Who may call, and what: keys, their roles, and telling a token's key. Knows nothing of HTTP or of what is asked.

A token is `sk-mad-` and 32 random bytes; only its SHA-256 is stored. A plain hash is enough here: 256 random bits cannot
be guessed, so neither salt nor a slow hash would add anything (they protect passwords, which can be guessed).

Keys come from the database (`madrigal keys`) and from the configuration (`server.keys`, their tokens in environment
variables). Those of the database are held in memory, so that a known key costs no query; every `poll_s` seconds one
query asks for the keys that changed since, so what another process creates or revokes is in force within two seconds.
While the database is away, the keys known so far keep working.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from experts.errors import AuthenticationError, ConfigError, InputError, NotFoundError, StoreError
from orchestrator.caller import ANONYMOUS, Key, Quota

if TYPE_CHECKING:
    from orchestrator.settings import KeySpec
    from orchestrator.store.store import Store

log = logging.getLogger("madrigal.keys")

_PREFIX = "sk-mad-"
_LOOKUP_EVERY_S = 1.0
_SHORT = 16


def token_hash(token: str) -> bytes:
    """SHA-256 of `token`: what is stored and looked up."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Keys:
    """All keys in force. Make one with `Keys.open`; used from one event loop."""

    def __init__(
        self, store: "Store | None", *, environ: Mapping[str, str], clock: Callable[[], float], poll_s: float
    ) -> None:
        self._store = store
        self._environ = environ
        self._clock = clock
        self._poll_s = poll_s
        self._configured: dict[bytes, Key] = {}
        self._stored: dict[bytes, Key] = {}
        self._seen = 0  # the last change that was read
        self._asked = 0.0  # when, on the loop's clock
        self._refreshing: asyncio.Task[None] | None = None
        self._polling: asyncio.Task[None] | None = None
        self._away = False

    @classmethod
    async def open(
        cls,
        store: "Store | None",
        configured: "Sequence[KeySpec]" = (),
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.time,
        poll_s: float = 1.0,
    ) -> "Keys":
        """The keys of `store` and of the configuration. Raises `StoreError`, or `ConfigError` where a variable is unset.

        `clock` gives seconds since the epoch.
        """
        keys = cls(store, environ=environ, clock=clock, poll_s=poll_s)
        keys.configure(configured)
        if store is not None:
            await keys._read()
        return keys

    @property
    def required(self) -> bool:
        """Whether an answer needs a key: one is configured, or one was ever made. Revoking the last opens nothing."""
        return bool(self._configured or self._stored)

    def start(self) -> None:
        """Begin to watch the database for keys that other processes make or revoke."""
        if self._store is not None and self._polling is None:
            self._polling = asyncio.get_running_loop().create_task(self._poll(), name="keys: poll")

    async def close(self) -> None:
        """Stop watching. May be called twice."""
        for task in (self._polling, self._refreshing):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._polling = self._refreshing = None

    def configure(self, configured: "Sequence[KeySpec]") -> None:
        """Replace the configuration's keys; nothing changes if it raises `ConfigError` (variable unset, token twice)."""
        fresh: dict[bytes, Key] = {}
        for number, spec in enumerate(configured):
            place = f"server.keys[{number}].key_env"
            token = self._environ.get(spec.key_env, "").strip()
            if not token:
                raise ConfigError(
                    f"the environment variable {spec.key_env!r} must hold the token of key {spec.name!r}; it is unset.",
                    key=place,
                )
            if len(token) < _SHORT:
                log.warning("key %r is shorter than %d characters and could be guessed", spec.name, _SHORT)
            if (other := fresh.get(token_hash(token))) is not None:
                raise ConfigError(f"keys {other.name!r} and {spec.name!r} have the same token.", key=place)
            fresh[token_hash(token)] = _configured_key(spec)
        self._configured = fresh

    async def authenticate(self, token: str | None) -> Key:
        """The key of `token`, `ANONYMOUS` where none is required. Raises `AuthenticationError`.

        A known key costs a hash and a look into memory. Unknown ones cost one query a second all together.
        """
        if not self.required:
            return ANONYMOUS
        if not token:
            raise AuthenticationError(
                "this server needs a key, and none was sent.",
                remedy="Send it as 'Authorization: Bearer KEY'; 'madrigal keys create NAME' makes one.",
            )
        digest = token_hash(token)
        key = self._find(digest)
        if key is None:
            await self._look_again()
            key = self._find(digest)
        if key is None:
            raise AuthenticationError(
                "the key that was sent is unknown.", remedy="'madrigal keys list' shows those known."
            )
        if key.revoked_at is not None:
            raise AuthenticationError(f"key {key.name!r} was revoked.")
        if key.expires_at is not None and self._clock() >= key.expires_at:
            raise AuthenticationError(f"key {key.name!r} has expired.")
        return key

    async def create(
        self,
        name: str,
        *,
        tenant: str = "default",
        user: str | None = None,
        roles: Sequence[str] = (),
        models: Sequence[str] = (),
        quota: Quota = Quota(),
        expires_at: float | None = None,
    ) -> tuple[Key, str]:
        """Make a key; its token is returned here and nowhere else. It is in force at once.

        Raises `ConflictError` if a key of that name lives, `InputError` for values no key can have.
        """
        now = self._clock()
        _check(name, models, quota, expires_at, now)
        token = _PREFIX + secrets.token_urlsafe(32)
        key = Key(
            id=f"key_{secrets.token_hex(8)}",
            name=name.strip(),
            prefix=token[: len(_PREFIX) + 4],
            tenant=tenant,
            user=user,
            roles=frozenset(roles),
            models=tuple(models),
            quota=quota,
            created_at=now,
            expires_at=expires_at,
        )
        from orchestrator.store import key_table

        await key_table.insert(self._required_store(), key, token_hash(token))
        await self._read()
        return self._stored[token_hash(token)], token

    async def list(self, *, revoked: bool = False) -> "list[Key]":
        """Every key, oldest first, those of the configuration before; with `revoked`, also those no longer in force."""
        if self._store is not None:
            await self._read()
        stored = sorted(self._stored.values(), key=lambda key: key.created_at)
        return [*self._configured.values(), *(key for key in stored if revoked or key.revoked_at is None)]

    async def revoke(self, name_or_id: str) -> Key:
        """Put a key out of force, here at once and in other processes within two seconds; return it as it is now.

        Raises `NotFoundError` if no living key has that name or id, `InputError` if it is one of the configuration.
        """
        from orchestrator.store import key_table

        revoked = await key_table.revoke(self._required_store(), name_or_id, self._clock())
        if revoked is None:
            if any(name_or_id in (key.name, key.id) for key in self._configured.values()):
                raise InputError(f"key {name_or_id!r} is the configuration's; remove it from server.keys there.")
            raise NotFoundError(
                f"no living key has the name or id {name_or_id!r}.", remedy="'madrigal keys list' shows them."
            )
        await self._read()
        return revoked

    def _find(self, digest: bytes) -> Key | None:
        # How long this takes tells nothing of the tokens: it depends on digests, which a caller cannot steer.
        return self._configured.get(digest) or self._stored.get(digest)

    async def _look_again(self) -> None:
        if self._store is None:
            return
        now = asyncio.get_running_loop().time()
        if self._refreshing is None or self._refreshing.done():
            if now - self._asked < _LOOKUP_EVERY_S:
                return
            self._asked = now
            self._refreshing = asyncio.get_running_loop().create_task(self._refresh(), name="keys: look again")
        # A database that hangs must not hold the caller: without its answer the key is unknown.
        await asyncio.wait({self._refreshing}, timeout=_LOOKUP_EVERY_S)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            await self._refresh()

    async def _refresh(self) -> None:
        self._asked = asyncio.get_running_loop().time()
        try:
            await self._read()
        except StoreError as error:
            if not self._away:
                log.warning("keys cannot be refreshed, those known stay in force: %s", error)
            self._away = True
        else:
            self._away = False

    async def _read(self) -> None:
        from orchestrator.store import key_table

        for change, digest, key in await key_table.changed_since(self._required_store(), self._seen):
            self._stored[digest] = key
            self._seen = max(self._seen, change)

    def _required_store(self) -> "Store":
        if self._store is None:
            raise InputError("keys can be made and revoked only where there is a store.")
        return self._store


def _configured_key(spec: "KeySpec") -> Key:
    quota = Quota(
        spec.limits.requests_per_minute,
        spec.limits.tokens_per_minute,
        spec.limits.budget_usd,
        spec.limits.budget_period,
    )
    _check_models(spec.models)
    return Key(
        id=f"config:{spec.name}",
        name=spec.name,
        prefix=f"${spec.key_env}",
        tenant=spec.tenant,
        user=spec.user,
        roles=frozenset(spec.roles),
        models=spec.models,
        quota=quota,
    )


def _check(name: str, models: Sequence[str], quota: Quota, expires_at: float | None, now: float) -> None:
    if not name.strip() or not name.isprintable() or len(name) > 128:
        raise InputError(f"a key's name must be 1 to 128 printable characters; {name!r} is not.", param="name")
    _check_models(models)
    for what in ("requests_per_minute", "tokens_per_minute"):
        if (limit := getattr(quota, what)) is not None and limit < 1:
            raise InputError(f"{what} must be at least 1, not {limit}; leave it out for no limit.", param=what)
    if quota.budget_usd is not None and not 0 <= quota.budget_usd < float("inf"):
        raise InputError(f"a budget must be 0 US dollars or more, not {quota.budget_usd}.", param="budget_usd")
    if expires_at is not None and expires_at <= now:
        raise InputError("a key must expire in the future.", param="expires_at")


def _check_models(models: Sequence[str]) -> None:
    for model in models:
        if not model or "*" in model[:-1]:
            raise InputError(f"a model is named exactly or as 'prefix*', not {model!r}.", param="models")
