"""The libraries that people put in front of an OpenAI-compatible server, against the running application."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import instructor
import pytest
import pytest_asyncio
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI
from pydantic import BaseModel, ConfigDict, Field

from tests.clientside import WEATHER, Front, front
from tests.packages import installed

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]

SCRIPTS = Path(__file__).parents[1] / "clients"
OPENAI_3 = ("openai==3.54.0", "jiter==0.19.0")
HTTP_2 = ("h2==4.4.1", "hpack==4.2.0", "hyperframe==6.1.0")
PROVIDER_CHECK = ("trustedrouter-provider-check==0.1.8", *HTTP_2)
LITELLM = (
    *("litellm==1.109.1", "fastuuid==0.14.0", "importlib-metadata==8.7.1", "zipp==4.1.2"),
    *("python-dotenv==1.2.4", "pydantic-settings==2.16.3", *HTTP_2),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with front(smollm2, tmp_path_factory.mktemp("clients")) as running:
        yield running


async def run(*command: Any, seconds: float = 300, **environ: str) -> tuple[int, str, str]:
    """A program, run to its end: exit status, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "NO_PROXY": "127.0.0.1", **environ},
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), seconds)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def script(name: str, *arguments: str, **environ: str) -> Any:
    """What a script of tests/clients printed."""
    code, out, err = await run(sys.executable, SCRIPTS / f"{name}.py", *arguments, **environ)
    assert code == 0, err[-3000:]
    return json.loads(out.splitlines()[-1])


def langchain(server: Front, model: str, **more: Any) -> ChatOpenAI:
    """LangChain's model; `server.served.http` is given because its own client would stay open."""
    return ChatOpenAI(
        model=model,
        base_url=server.url,
        api_key="none",
        max_retries=0,
        http_async_client=server.served.http,
        timeout=300,
        **more,
    )


async def test_langchain_invokes_and_streams_with_usage(server: Front) -> None:
    chat = langchain(server, "auto", stream_usage=True)
    answer = await chat.ainvoke([("system", "Be brief."), ("user", "hello")])
    assert answer.content == " one two three"
    assert answer.usage_metadata is not None and answer.usage_metadata["total_tokens"] == 10
    assert answer.response_metadata["finish_reason"] == "stop"
    pieces = [piece async for piece in chat.astream("hello")]
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    assert whole.content == " one two three"
    assert whole.usage_metadata is not None and whole.usage_metadata["total_tokens"] == 10


async def test_langchain_calls_tools_and_takes_their_results_back(server: Front) -> None:
    chat = langchain(server, "smol", temperature=0, max_tokens=120)
    asked: list[Any] = [HumanMessage("What is the weather in Paris, in Celsius?")]
    called = await chat.bind_tools([WEATHER], tool_choice="any", parallel_tool_calls=False).ainvoke(asked)
    assert isinstance(called, AIMessage)
    (call,) = called.tool_calls
    assert (call["name"], call["args"]["city"]) == ("get_weather", "Paris")
    asked += [called, ToolMessage('{"celsius": 21}', tool_call_id=call["id"])]
    assert (await chat.ainvoke(asked)).content


class City(BaseModel):
    """A city. Closed, as an open schema lets a small model go on adding fields until its tokens run out."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=20)
    continent: Literal["Africa", "Asia", "Europe"]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
async def test_langchain_gets_structured_output(server: Front, method: Any) -> None:
    chat = langchain(server, "smol", temperature=0, max_tokens=120)
    found = await chat.with_structured_output(City, method=method).ainvoke("Which city is the capital of France?")
    assert isinstance(found, City)
    assert found.continent in ("Africa", "Asia", "Europe")


@pytest.mark.parametrize("mode", [instructor.Mode.JSON_SCHEMA, instructor.Mode.TOOLS], ids=str)
async def test_instructor_extracts(server: Front, mode: instructor.Mode) -> None:
    async with AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=300) as client:
        found = await instructor.from_openai(client, mode=mode).chat.completions.create(
            model="smol",
            messages=[{"role": "user", "content": "Paris is a city in Europe."}],
            response_model=City,
            temperature=0,
            max_tokens=120,
            max_retries=0,
        )
    assert isinstance(found, City)
    assert found.continent in ("Africa", "Asia", "Europe")


@pytest.fixture
def llm_home(server: Front, tmp_path: Path) -> str:
    """A folder of llm's settings that names our server."""
    rows = [
        {"model_id": name, "model_name": model, "api_base": server.url, "supports_schema": True, "supports_tools": True}
        for name, model in (("madrigal", "auto"), ("madrigal-smol", "smol"))
    ]
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps(rows))
    return str(tmp_path)


async def test_llm_on_the_command_line(llm_home: str) -> None:
    program = Path(sys.executable).with_name("llm")
    for more in ((), ("--no-stream", "-s", "Be brief.")):
        code, out, err = await run(program, "-m", "madrigal", *more, "Say hi", LLM_USER_PATH=llm_home)
        assert (code, out.strip()) == (0, "one two three"), err
    code, out, err = await run(program, "-c", "and again", LLM_USER_PATH=llm_home)
    assert (code, out.strip()) == (0, "one two three"), err


async def test_llm_by_its_python_api(llm_home: str) -> None:
    told = await script("llm_api", "madrigal", LLM_USER_PATH=llm_home)
    assert told["prompt"] == told["again"] == told["async"] == " one two three"
    assert told["usage"] == 7
    assert isinstance(told["schema"]["yes"], bool)


async def test_openais_client_of_the_third_generation(server: Front) -> None:
    packages = await asyncio.to_thread(installed, *OPENAI_3)
    told = await script("openai3", server.url, PYTHONPATH=str(packages))
    assert told.pop("version") == "3.54.0"
    assert isinstance(told.pop("parsed"), bool)
    assert told == {
        "chat": " one two three",
        "stream": " one two three",
        "usage": 10,
        "tool": "Paris",
        "completion": " one two three",
        "response": " one two three",
        "embedding": 384,
        "models": ["auto", "smol"],
        "error": "model_not_found",
        "cut": "APIError",
    }


async def test_litellm_as_a_client(server: Front) -> None:
    packages = await asyncio.to_thread(installed, *LITELLM)
    told = await script("litellm_sdk", server.url, PYTHONPATH=str(packages), LITELLM_LOCAL_MODEL_COST_MAP="True")
    assert told["chat"] == told["stream"] == " one two three"
    assert told["usage"] == [10]
    assert told["error"] == 404


async def test_a_gateways_own_check_of_its_providers(server: Front, tmp_path: Path) -> None:
    """TrustedRouter's checks of catalogue, calls, streams, tools and schemas; its PONG a model this small misses."""
    packages = await asyncio.to_thread(installed, *PROVIDER_CHECK)
    program = "import sys; from tr_provider_check.cli import main; sys.exit(main())"
    report = tmp_path / "report.json"
    arguments = ("--base-url", server.url, "--model", "smol", "--tier", "5", "--max-sweep-models", "1")
    _, out, err = await run(
        sys.executable, "-c", program, *arguments, "--json", report, seconds=550, PYTHONPATH=str(packages)
    )
    assert report.exists(), err[-3000:]
    checks = json.loads(report.read_text())["checks"]
    assert sum(check["status"] == "pass" for check in checks) >= 19
    assert [check["id"] for check in checks if check["status"] == "fail"] in ([], ["chat.pong"]), out
