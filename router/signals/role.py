"""Who is asking, by lists: the API key's roles, user and tenant. The one ground on which a policy may grant anything.

Knows nothing of the request: what a client says of itself in headers or metadata is not looked at (see `metadata`).
"""

from typing import Literal

from pydantic import Field, model_validator

from experts.spec import Frozen
from router.prompt import Prompt
from router.signals import Evaluate, Signal
from router.tools import Tools

COST = "cheap"
NEEDS: frozenset[str] = frozenset()
EXAMPLE = {"roles": ["staff"]}


class Params(Frozen):
    """At least one list. It matches if the key is in any of the lists, or with `match: all` in each that is given."""

    roles: tuple[str, ...] = Field((), description="roles of which the key must have one")
    users: tuple[str, ...] = Field((), description="users of which the key must be one's")
    tenants: tuple[str, ...] = Field((), description="tenants of which the key must belong to one")
    match: Literal["any", "all"] = Field("any", description="whether one of the lists is enough, or each must match")

    @model_validator(mode="after")
    def _something(self) -> "Params":
        if not (self.roles or self.users or self.tenants):
            raise ValueError("a role signal needs at least one of roles, users and tenants")
        if any(not name.strip() for name in (*self.roles, *self.users, *self.tenants)):
            raise ValueError("an empty name would match a key that has none")
        return self


def build(params: Params, tools: Tools) -> Evaluate:
    """The signal's value is the names of the lists that fit the key, its label the first of them."""
    every = params.match == "all"
    given = sum(1 for names in (params.roles, params.users, params.tenants) if names)

    def evaluate(prompt: Prompt) -> Signal:
        roles = tuple(role for role in params.roles if role in prompt.roles)
        users = tuple(user for user in params.users if user == prompt.user)
        tenants = tuple(tenant for tenant in params.tenants if tenant == prompt.tenant)
        fitting = sum(1 for names in (roles, users, tenants) if names)
        matched = fitting == given if every else fitting > 0
        found = (*roles, *users, *tenants) if matched else ()
        return Signal(matched, value=found, label=found[0] if found else None, count=len(found))

    return evaluate
