"""What the tests of client libraries stand in front of: the real small model and the scripted engine, in one server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes import Upstream
from tests.serving import Served, serving

SCRIPTED = ("ok", "hang", "drip", "cut", "err-429", "err-500")
"""Experts on the scripted engine, each named as the fault that it shows."""

POLICY = """
experts:
  smol: {{source: "file:{model}", slots: 2, context: 1024, system_prompt: Answer briefly and correctly.}}
{scripted}
decisions:
  - {{name: rest, use: [ok]}}
fallback: {{attempts: 1}}
"""

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "enum": ["Paris", "London", "Rome"]},
                "unit": {"type": "string", "enum": ["C", "F"]},
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}


@dataclass
class Front:
    """A running server, the scripted engine behind it, and the base URL for clients."""

    served: Served
    upstream: Upstream

    @property
    def url(self) -> str:
        """Ends in /v1."""
        return f"{self.served.url}/v1"


@asynccontextmanager
async def front(model: Path, folder: Path) -> AsyncIterator[Front]:
    """Serve the experts `smol` (the real model) and `SCRIPTED`; `auto` is answered by `ok`."""
    async with Upstream().running() as upstream:
        scripted = "\n".join(
            f'  {name}: {{backend: openai, url: "{upstream.url}", model: "{name}"}}' for name in SCRIPTED
        )
        async with serving(POLICY.format(model=model, scripted=scripted), folder) as served:
            await served.until_ready()
            yield Front(served, upstream)
