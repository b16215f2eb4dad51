"""A caller as far as Madrigal knows it: its key, what that may do and use. Pure data; where keys come from is `keys.py`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from experts.errors import ForbiddenError

ROLES: Mapping[str, str] = {
    "admin": "everything: administration, and whatever any other role allows",
    "collections": "/v1/collections: documents that answers may rest on",
    "trace": "/v1/route, and the trace of a decision in an answer",
}
"""Roles that open parts of the API. Any other is a free word that policies can ask for."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What a key may use; None is no limit. `budget_usd` is US dollars per `budget_period` (UTC days and months)."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    budget_usd: float | None = None
    budget_period: Literal["total", "day", "month"] = "month"


@dataclass(frozen=True, slots=True)
class Key:
    """A caller, as far as Madrigal knows it. Times are seconds since the epoch; `prefix` is how its token begins.

    `models` are the names it may call, exact or as `prefix/*`; none listed: all. Virtual names (`auto`) count as any.
    """

    id: str
    name: str
    prefix: str = ""
    tenant: str = "default"
    user: str | None = None
    roles: frozenset[str] = frozenset()
    models: tuple[str, ...] = ()
    quota: Quota = Quota()
    created_at: float = 0.0
    expires_at: float | None = None
    revoked_at: float | None = None

    def may_use(self, model: str) -> bool:
        """Whether this key may ask for `model`."""
        if not self.models:
            return True
        return any(
            model.startswith(allowed[:-1]) if allowed.endswith("*") else model == allowed for allowed in self.models
        )

    def has(self, role: str) -> bool:
        """Whether this key may do what `role` opens; an admin may do everything."""
        return role in self.roles or "admin" in self.roles

    def demand(self, role: str) -> None:
        """Raise `ForbiddenError` unless this key has `role`."""
        if not self.has(role):
            raise ForbiddenError(f"this needs a key with the role {role!r}; key {self.name!r} lacks it.")

    def demand_model(self, model: str) -> None:
        """Raise `ForbiddenError` unless this key may ask for `model`."""
        if not self.may_use(model):
            raise ForbiddenError(
                f"key {self.name!r} may not use the model {model!r}; it may use: {', '.join(self.models)}.",
                param="model",
            )


ANONYMOUS = Key(id="anonymous", name="anonymous", roles=frozenset({"admin"}))
"""Who calls where no key was ever made or configured: then only loopback is served, and to it everything is open."""
