"""Asking experts by name from a command: through a running server, or through a pool of this process."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from experts.errors import AuthenticationError, EngineDownError, EngineFaultError, InputError

if TYPE_CHECKING:
    from experts.profile import Said


class Asking(Protocol):
    """One question to one expert."""

    async def __call__(self, settings: Mapping[str, Any], expert: str, prompt: str, /) -> "Said":
        """`settings` go into the body (`max_tokens` …). Raises `ExpertError` where there is no reply."""


@asynccontextmanager
async def calling(experts: Sequence[str], *, url: str | None, key: str | None, config: Path) -> "AsyncIterator[Asking]":
    """A way to ask these experts: of the server at `url`, else of engines started here by the policy file and stopped at
    the end. Raises `InputError` for an expert that is not there."""
    if url is not None:
        async with _server(experts, url, key) as ask:
            yield ask
    else:
        async with _pool(experts, config) as ask:
            yield ask


@asynccontextmanager
async def _server(experts: Sequence[str], url: str, key: str | None) -> "AsyncIterator[Asking]":
    import httpx

    from experts.profile import Said

    base = url.rstrip("/").removesuffix("/v1")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=httpx.Timeout(None, connect=10.0)) as client:

        async def send(method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
            try:
                answer = await client.request(method, path, json=body)
            except httpx.HTTPError as error:
                raise EngineDownError(
                    f"the server at {base} cannot be reached: {error or type(error).__name__}"
                ) from None
            if answer.status_code in (401, 403):
                raise AuthenticationError(f"the server at {base} refuses the key", remedy="Give it one with --key.")
            if answer.is_error:
                raise EngineFaultError(_reason(answer), status=answer.status_code)
            return answer

        known = [row["id"] for row in (await send("GET", "/v1/models")).json()["data"]]
        _there(experts, known, f"the server at {base}")
        revisions: dict[str, str] = {}

        async def ask(settings: Mapping[str, Any], expert: str, prompt: str) -> Said:
            body = {**settings, "model": expert, "messages": [{"role": "user", "content": prompt}]}
            told = (await send("POST", "/v1/chat/completions", body)).json()
            if expert not in revisions:  # told once it is loaded
                rows = (await send("GET", "/v1/models")).json()["data"]
                revisions[expert] = next(
                    (row["madrigal"].get("revision") or "" for row in rows if row["id"] == expert), ""
                )
            return Said(told["choices"][0]["message"].get("content") or "", revisions[expert])

        yield ask


@asynccontextmanager
async def _pool(experts: Sequence[str], path: Path) -> "AsyncIterator[Asking]":
    import random

    import orjson

    from experts.backends import Site
    from experts.call import Call, Usage
    from experts.catalog import Catalog
    from experts.client import Client
    from experts.pool import Pool
    from experts.profile import Said
    from orchestrator.attempts import Attempts
    from orchestrator.cli._common import err
    from orchestrator.cli.experts import cache_of, pull_all
    from orchestrator.config import load_config
    from orchestrator.telemetry import Telemetry

    config = load_config(path)
    _there(experts, list(config.experts), str(path))
    cache = cache_of(config)
    specs = [config.experts[name] for name in experts]
    await asyncio.to_thread(lambda: list(pull_all(specs, cache, err())))
    pool = Pool(Catalog.of(specs), Site(cache=cache, logs=cache / "logs"))
    client, telemetry = Client(), Telemetry()

    def no_cost(expert: str, usage: Usage) -> float:
        return 0.0

    async def ask(settings: Mapping[str, Any], expert: str, prompt: str) -> Said:
        body = {**settings, "messages": [{"role": "user", "content": prompt}]}
        attempts = Attempts(
            pool, client, config.fallback, telemetry, lease_wait_s=600.0, cost_usd=no_cost, random=random.random
        )
        answer = await attempts.one(expert, Call("chat/completions", body))
        try:
            told = orjson.loads(await answer.read())
        finally:
            await answer.aclose()
        return Said(told["choices"][0]["message"].get("content") or "", attempts.made[-1].revision)

    await pool.start()
    try:
        yield ask
    finally:
        await pool.stop()
        await client.aclose()


def _there(wanted: Sequence[str], known: Sequence[str], where: str) -> None:
    from orchestrator.problems import suggest

    for name in wanted:
        if name not in known:
            raise InputError(f"{where} has no expert {name!r}{suggest(name, known)}")


def _reason(answer: Any) -> str:
    try:
        return f"HTTP {answer.status_code}: {answer.json()['error']['message']}"
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"
