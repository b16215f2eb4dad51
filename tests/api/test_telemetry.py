"""Spans by OpenTelemetry's GenAI conventions, and metrics whose series a client cannot multiply."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry import trace

from orchestrator.telemetry import Telemetry
from tests.bench.soak import served as serve_command
from tests.fakes import Upstream, until
from tests.packages import installed
from tests.serving import Served, serving

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ASKED = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
OTLP = (
    "opentelemetry-exporter-otlp-proto-http==1.45.2",
    "opentelemetry-exporter-otlp-proto-common==1.45.2",
    "opentelemetry-proto==1.45.2",
    "opentelemetry-exporter-otlp-common==0.66b2",
    "opentelemetry-exporter-http-transport==0.66b2",
    "googleapis-common-protos==1.75.0",
)


async def traced(folder: Path, models: list[str], *requests: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """What `python -m tests.traced` prints: (spans, headers of the calls that the engine got)."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.traced", folder),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env=plain_environment(),
    )
    job = json.dumps({"models": models, "requests": requests}).encode()
    out, err = await asyncio.wait_for(process.communicate(job), 60)
    assert process.returncode == 0, err.decode()
    told = json.loads(out)
    return told["spans"], told["engine"]


def plain_environment(**more: str) -> dict[str, str]:
    """This environment without what would configure tracing, and with `more`."""
    return {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")} | more


def attributes(span: Mapping[str, Any], *names: str) -> list[Any]:
    return [span["attributes"].get(name) for name in names]


async def test_a_request_is_a_span_and_each_call_a_child_of_it(tmp_path: Path) -> None:
    spans, engine = await traced(tmp_path, ["ok"], {"body": ASKED, "headers": {"traceparent": f"00-{TRACE}-{SPAN}-01"}})
    call, request = spans
    assert (request["name"], request["kind"]) == ("chat auto", "SpanKind.SERVER")
    assert request["parent_id"] == f"0x{SPAN}"
    assert request["context"]["trace_id"] == call["context"]["trace_id"] == f"0x{TRACE}"
    assert attributes(request, "gen_ai.operation.name", "gen_ai.request.model") == ["chat", "auto"]
    assert attributes(request, "madrigal.decision", "madrigal.expert") == ["rest", "e0"]
    assert request["attributes"]["madrigal.request.id"].startswith("req_")
    assert (call["name"], call["kind"]) == ("chat e0", "SpanKind.CLIENT")
    assert call["parent_id"] == request["context"]["span_id"]
    assert attributes(call, "gen_ai.request.model", "gen_ai.response.model") == ["e0", "ok"]
    assert attributes(call, "gen_ai.provider.name", "madrigal.attempt") == ["openai", 1]
    for span in spans:
        assert attributes(span, "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens") == [7, 3]
        assert span["status"]["status_code"] == "UNSET"
        assert "error.type" not in span["attributes"]
    (sent,) = engine
    assert sent["traceparent"] == f"00-{TRACE}-{call['context']['span_id'].removeprefix('0x')}-01"


async def test_without_a_parent_a_request_begins_a_trace(tmp_path: Path) -> None:
    for header in (None, {"traceparent": "00-nonsense"}):
        spans, _ = await traced(tmp_path, ["ok"], {"body": {**ASKED, "stream": True}, "headers": header})
        call, request = spans
        assert request["parent_id"] is None
        assert call["parent_id"] == request["context"]["span_id"]
        assert attributes(request, "gen_ai.usage.output_tokens") == [3]


async def test_a_failing_expert_is_an_error_in_its_own_span_only(tmp_path: Path) -> None:
    spans, _ = await traced(tmp_path, ["err-500", "ok"], {"body": ASKED})
    failed, answered, request = spans
    assert failed["status"] == {"status_code": "ERROR", "description": "expert_error"}
    assert attributes(failed, "error.type", "madrigal.attempt") == ["expert_error", 1]
    assert attributes(answered, "error.type", "madrigal.attempt") == [None, 2]
    assert request["status"]["status_code"] == "UNSET", "the client got its answer"


async def test_what_fails_as_a_whole_is_an_error_and_a_clients_mistake_is_not(tmp_path: Path) -> None:
    unknown = {"body": {**ASKED, "model": "nobody"}}
    spans, _ = await traced(tmp_path, ["cut"], {"body": {**ASKED, "stream": True}}, unknown)
    call, cut, mistaken = spans
    assert call["status"]["status_code"] == cut["status"]["status_code"] == "ERROR"
    assert attributes(cut, "error.type") == ["stream_cut"]
    assert attributes(mistaken, "error.type", "gen_ai.request.model") == ["model_not_found", "nobody"]
    assert mistaken["status"]["status_code"] == "UNSET"


async def test_other_paths_name_their_operation(tmp_path: Path) -> None:
    spans, _ = await traced(
        tmp_path,
        ["ok"],
        {"path": "/v1/completions", "body": {"model": "e0", "prompt": "Once"}},
        {"path": "/v1/responses", "body": {"model": "auto", "input": "hello"}},
        {"path": "/v1/embeddings", "body": {"model": "nothing", "input": "hello"}},
    )
    ours = [span for span in spans if "gen_ai.operation.name" in span["attributes"]]  # FastAPI makes some of its own
    assert [span["name"].split(" ")[0] for span in ours] == [
        *("text_completion", "text_completion"),
        *("chat", "chat"),
        "embeddings",
    ]


def test_no_span_is_made_where_nobody_configured_an_sdk() -> None:
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    assert Telemetry().start_span("chat auto", {}, headers={"traceparent": f"00-{TRACE}-{SPAN}-01"}) is None


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream().running() as server:
        yield server


@pytest.fixture
async def served(upstream: Upstream, tmp_path: Path) -> AsyncIterator[Served]:
    policy = f"""
experts:
  e0: {{backend: openai, url: "{upstream.url}", model: ok, price: {{input: 1, output: 2}}}}
decisions:
  - {{name: rest, use: [e0]}}
"""
    async with serving(policy, tmp_path) as served:
        yield served


async def scraped(served: Served) -> dict[str, float]:
    """Every series of /metrics and its value."""
    lines = (await served.http.get("/metrics")).text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


async def test_metrics_have_the_names_that_dashboards_know(served: Served) -> None:
    await served.chat()
    await served.chat(stream=True)
    await until(lambda: served.service.recorder.written == 2)
    told = await scraped(served)
    of = 'decision="rest",expert="e0",operation="chat",outcome="ok"'
    assert told[f"gen_ai_server_request_duration_seconds_count{{{of}}}"] == 2
    assert told['gen_ai_server_time_to_first_token_seconds_count{expert="e0",operation="chat"}'] == 2
    assert told['gen_ai_client_token_usage_sum{expert="e0",type="input"}'] == 14
    assert told['gen_ai_client_token_usage_sum{expert="e0",type="output"}'] == 6
    assert told['madrigal_calls_total{expert="e0",outcome="ok"}'] == 2
    assert told['madrigal_cost_usd_total{expert="e0"}'] == pytest.approx(2 * (7 * 1 + 3 * 2) / 1e6)
    assert told['madrigal_route_seconds_count{policy="auto"}'] == 2
    assert told["madrigal_requests_in_flight"] == 0
    assert told['madrigal_expert_up{expert="e0"}'] == 1
    assert told['madrigal_expert_in_flight{expert="e0"}'] == 0
    assert told['madrigal_records{state="written"}'] == 2
    assert told["process_resident_memory_bytes"] > 1e7
    assert told["madrigal_tasks"] > 0


async def test_a_client_cannot_make_series(served: Served) -> None:
    """Whatever stands in a request, labels come from the configuration and from our own code."""
    odd: list[dict[str, Any]] = [
        {"model": "model-{}"},
        {"model": "auto+strategy-{}"},
        {"user": "user-{}"},
        {"metadata": {"key-{}": "value-{}"}},
        {"madrigal": {"field-{}": 1}},
        {"tools": [{"type": "function", "function": {"name": "tool_{}"}}]},
        {"temperature": "hot-{}"},
        {"new-{}": "x"},
    ]

    async def all_of_them(number: int) -> set[str]:
        for one in odd:
            body = json.loads(json.dumps({**ASKED, **one}).replace("{}", str(number)))
            await served.http.post("/v1/chat/completions", json=body, headers={"x-odd": f"header-{number}"})
            await served.http.post("/v1/embeddings", json={**body, "input": "x"})
        await served.http.get(f"/v1/nothing-{number}")
        await served.http.get(f"/v1/models/model-{number}")
        await served.http.request(f"METHOD{number}", "/v1/models")
        return set(await scraped(served))

    first = await all_of_them(1)
    for number in range(2, 6):
        assert await all_of_them(number) == first
    assert not [series for series in first if re.search(r"(model|strategy|user|key|value|field|tool)[-_]1", series)]


async def ask(url: str) -> None:
    """One chat."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http:
        (await http.post("/v1/chat/completions", json=ASKED)).raise_for_status()


async def test_serve_exports_spans_to_a_collector_that_the_environment_names(
    tmp_path: Path, upstream: Upstream
) -> None:
    received: list[tuple[str, bytes]] = []

    async def collect(request: web.Request) -> web.Response:
        received.append((request.path, await request.read()))
        return web.Response(body=b"", content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/{path:.*}", collect)
    packages = await asyncio.to_thread(installed, *OTLP)
    async with TestServer(app) as collector:
        environ = {
            "PYTHONPATH": str(packages),
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        async with serve_command(tmp_path, upstream.url, environ) as (process, url):
            await ask(url)
            await until(lambda: received, 10)
            process.terminate()
            await asyncio.wait_for(process.wait(), 20)
    assert {path for path, _ in received} == {"/v1/traces"}
    sent = b"".join(body for _, body in received)
    assert b"service.name" in sent and b"madrigal" in sent
    assert b"chat auto" in sent and b"chat drip" in sent


async def test_spans_still_to_be_sent_go_out_before_the_server_ends(tmp_path: Path, upstream: Upstream) -> None:
    environ = {"OTEL_TRACES_EXPORTER": "console", "OTEL_BSP_SCHEDULE_DELAY": "60000", "OTEL_SERVICE_NAME": "mine"}
    async with serve_command(tmp_path, upstream.url, environ) as (process, url):
        await ask(url)
        process.terminate()
        assert process.stdout is not None
        told = (await asyncio.wait_for(process.stdout.read(), 20)).decode()
    assert '"name": "chat auto"' in told
    assert '"service.name": "mine"' in told


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        {"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_EXPORTER": "an-exporter-that-nobody-has"},
    ],
    ids=str,
)
async def test_serve_makes_no_spans_where_it_was_not_asked_to_or_cannot(
    tmp_path: Path, upstream: Upstream, environ: dict[str, str]
) -> None:
    async with serve_command(tmp_path, upstream.url, environ) as (process, url):
        await ask(url)
        process.terminate()
        assert process.stdout is not None
        told = (await asyncio.wait_for(process.stdout.read(), 20)).decode()
    assert "trace_id" not in told
    assert "traceparent" not in upstream.headers[-1]
