"""Routing without a server: what a policy decides for a request, no engine started and none asked.

Knows nothing of health: every expert counts as well.
"""

import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experts.errors import NotFoundError
from orchestrator.config import DEFAULT_POLICY, Config, cards
from orchestrator.problems import suggest
from router.embed import Embedder
from router.policy import Route, Tools, compile_policy
from router.prompt import Prompt
from router.session import Previous


class Offline:
    """The policies of a configuration, ready to be asked. Its draws repeat: they come from a generator seeded with 0."""

    def __init__(self, config: Config, tools: Tools | None = None) -> None:
        known = cards(config.experts)
        tools = tools or Tools(embedding=Embedder(), folder=Path(config.file).absolute().parent)
        self.experts = frozenset(known)
        self.policies = {name: compile_policy(spec, known, tools) for name, spec in config.policies.items()}
        self._random = random.Random(0)

    async def route(
        self,
        body: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        user: str = "",
        tenant: str = "default",
        roles: tuple[str, ...] = (),
        previous: Previous | None = None,
    ) -> Route:
        """The route of a chat or completions body; its `model` names a policy or an expert, default `auto`;
        `previous` is who answered its conversation before.

        Raises `NotFoundError` for another model, and what `Policy.route` raises where no expert can serve it.
        """
        model = body.get("model") or DEFAULT_POLICY
        direct = model not in self.policies
        if direct and model not in self.experts:
            raise NotFoundError(f"there is no model {model!r}{suggest(model, {*self.policies, *self.experts})}")
        prompt = Prompt.from_chat(body, headers=headers, user=user, tenant=tenant, roles=roles)
        return await self.policies[DEFAULT_POLICY if direct else model].route(
            prompt,
            healthy=lambda expert: None,
            random=self._random.random,
            clock=time.perf_counter,
            only=model if direct else None,
            previous=previous,
        )
