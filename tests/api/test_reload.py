"""Reload: a valid file takes over without losing a request, an invalid one changes nothing."""

import asyncio
from pathlib import Path

from api.errors import status_of
from orchestrator.config import load_config, parse_config
from orchestrator.service import Service
from tests.fakes import Upstream, text_of, until
from tests.serving import serving

ONE = """
experts:
  a: {{backend: openai, url: "{url}", model: {model}}}
decisions:
  - {{name: {name}, use: [a]}}
store: {{url: "sqlite:///{folder}/test.db"}}
"""


def text(upstream: Upstream, folder: Path, name: str, model: str = "ok") -> str:
    return ONE.format(url=upstream.url, model=model, name=name, folder=folder)


async def test_a_new_policy_is_taken_up_while_running(tmp_path: Path) -> None:
    async with (
        Upstream().running() as upstream,
        serving(text(upstream, tmp_path, "old"), tmp_path, watch=True) as served,
    ):
        assert (await served.chat()).headers["x-madrigal-decision"] == "old"
        (tmp_path / "madrigal.yaml").write_text(text(upstream, tmp_path, "new"))

        async def new() -> bool:
            return (await served.chat()).headers["x-madrigal-decision"] == "new"

        await until(new)


async def test_an_invalid_file_is_reported_and_the_old_one_keeps_serving(tmp_path: Path) -> None:
    async with (
        Upstream().running() as upstream,
        serving(text(upstream, tmp_path, "old"), tmp_path, watch=True) as served,
    ):
        (tmp_path / "madrigal.yaml").write_text(text(upstream, tmp_path, "new") + "nonsense: 1\n")

        async def told() -> bool:
            return "config_error" in (await served.http.get("/ready")).json()

        await until(told)
        error = (await served.http.get("/ready")).json()["config_error"]
        assert "madrigal.yaml:7:1" in error and "nonsense" in error
        assert (await served.chat()).headers["x-madrigal-decision"] == "old"
        assert await served.counted("madrigal_config_valid{") and await served.counted("} 0.0")


async def test_a_request_older_than_two_reloads_still_finds_its_experts(tmp_path: Path) -> None:
    """Its first expert fails late; the one it falls back to is in neither of the newer files."""
    two = """
experts:
  a: {{backend: openai, url: "{url}", model: held}}
  b: {{backend: openai, url: "{url}", model: ok}}
decisions:
  - {{name: old, use: [a, b]}}
"""
    async with Upstream().running() as upstream, serving(two.format(url=upstream.url), tmp_path) as served:
        asked = asyncio.ensure_future(served.chat())
        await until(lambda: upstream.bodies)
        for name in ("newer", "newest"):
            new = text(upstream, tmp_path, name).replace("  a:", f"  {name}:").replace("[a]", f"[{name}]")
            await served.service.reload(parse_config(new, "madrigal.yaml"))
        upstream.go.set()
        answer = await asked
        assert (answer.status_code, answer.headers.get("x-madrigal-expert")) == (200, "b")
        await until(lambda: [one.name for one in served.service.pool.status()] == ["newest"])


async def test_a_file_changed_while_the_server_starts_is_taken_up(tmp_path: Path) -> None:
    async with Upstream().running() as upstream:
        config = parse_config(text(upstream, tmp_path, "read"), str(tmp_path / "madrigal.yaml"))
        (tmp_path / "madrigal.yaml").write_text(text(upstream, tmp_path, "written since"))
        service = await Service.open(config, status_of=status_of, load=load_config)
        try:
            await until(lambda: service.state.config.policies["auto"].decisions[0].name == "written since")
        finally:
            await service.close()


async def test_reloading_under_load_loses_no_request(tmp_path: Path) -> None:
    """Experts come, change and go while streams run and requests arrive."""
    async with Upstream().running() as upstream, serving(text(upstream, tmp_path, "p0"), tmp_path) as served:
        statuses: list[int] = []
        said: list[str] = []
        stop = False

        async def ask() -> None:
            while not stop:
                answer = await served.chat(stream=True)
                statuses.append(answer.status_code)
                said.append(text_of(answer.content))

        askers = [asyncio.ensure_future(ask()) for _ in range(8)]
        for turn in range(15):
            model = "ok" if turn % 2 else "slow-5"
            new = (
                text(upstream, tmp_path, f"p{turn}", model)
                .replace("  a:", f"  a{turn % 3}:")
                .replace("[a]", f"[a{turn % 3}]")
            )
            await served.service.reload(parse_config(new, "madrigal.yaml"))
            seen = len(statuses)
            await until(lambda seen=seen: len(statuses) > seen + 8)
        stop = True
        await asyncio.gather(*askers)
        assert set(statuses) == {200}
        assert set(said) == {" one two three"}
