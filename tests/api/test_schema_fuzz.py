"""Requests made up from our own OpenAPI document, right ones and wrong ones, sent to the running application.

No answer is a 5xx, every answer is of a documented kind, every error has OpenAI's form and every answer an id. The same
requests every time: what a failure prints can be run again.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from router.embed import MODEL
from tests.fakes import Upstream
from tests.serving import Served, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICY = """
experts:
  e0: {{backend: openai, url: "{url}", model: ok}}
signals:
  code: {{type: keyword, any: [python], regex: ['\\d'], fuzzy: [traceback]}}
  long: {{type: context, min_tokens: 100}}
  many: {{type: structure, of: questions, gte: 2}}
  en:   {{type: language, in: [en]}}
decisions:
  - {{name: code, when: code and not long, use: [e0]}}
  - {{name: en,   when: en or many, use: [e0]}}
  - {{name: rest, use: [e0]}}
"""
OPERATIONS = (
    "POST /v1/chat/completions",
    "POST /v1/completions",
    "POST /v1/responses",
    "POST /v1/embeddings",
    "POST /v1/route",
    "POST /v1/feedback",
    "POST /v1/collections",
    "GET /v1/collections",
    "GET /v1/collections/{name}",
    "DELETE /v1/collections/{name}",
    "POST /v1/collections/{name}/documents",
    "GET /v1/collections/{name}/documents",
    "GET /v1/collections/{name}/documents/{id}",
    "DELETE /v1/collections/{name}/documents/{id}",
    "POST /v1/collections/{name}/search",
    "GET /v1/memory",
    "PUT /v1/memory",
    "DELETE /v1/memory",
    "DELETE /v1/memory/{id}",
    "GET /v1/models",
    "GET /v1/models/{model}",
    "GET /v1/usage",
    "GET /health",
    "GET /ready",
    "GET /metrics",
)
MODELS = ("auto", "e0", MODEL)
COLLECTION = "books"
ERROR = {"message", "type", "param", "code"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with Upstream().running() as upstream:
        policy = POLICY.format(url=upstream.url)
        async with serving(policy, tmp_path_factory.mktemp("fuzz")) as served:
            assert (await served.http.post("/v1/collections", json={"name": COLLECTION})).status_code == 200
            yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def schema(served: Served) -> Any:
    """Our OpenAPI document, as the server tells it."""
    return schemathesis.openapi.from_dict((await served.http.get("/openapi.json")).json())


async def test_every_path_is_tried(schema: Any) -> None:
    assert sorted(found.ok().label for found in schema.get_all_operations()) == sorted(OPERATIONS)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
@pytest.mark.parametrize("label", OPERATIONS)
async def test_whatever_is_sent_the_answer_is_as_documented(
    served: Served, schema: Any, label: str, mode: GenerationMode
) -> None:
    operation = schema.find_operation_by_label(label)
    has_input = operation.body or list(operation.iter_parameters())
    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query):
        pytest.skip("takes no input that could be wrong")

    @settings(
        max_examples=25 if has_input else 2,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), model=st.sampled_from(MODELS), known=st.booleans())
    def fuzz(case: Case, model: str, known: bool) -> None:
        if known and isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
            case.body["model"] = model  # else nearly every request would end at its unknown model
        if known and "name" in case.path_parameters and label != "DELETE /v1/collections/{name}":
            case.path_parameters["name"] = COLLECTION
        check(case, case.call(base_url=served.url, session=session, timeout=30))

    with requests.Session() as session:
        session.trust_env = False
        await asyncio.to_thread(fuzz)


def check(case: Case, answer: Any) -> None:
    """Raise where an answer is not what the document promises."""
    checks = [
        not_a_server_error,
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    ]
    case.validate_response(answer, checks=checks)
    told = f"{answer.status_code} {answer.text[:300]}\n{case.as_curl_command()}"
    assert answer.headers["x-request-id"][0].startswith("req_"), told
    if answer.status_code >= 400:
        assert set(answer.json()) == {"error"}, told
        error = answer.json()["error"]
        assert set(error) == ERROR, told
        assert isinstance(error["message"], str) and error["message"], told
        assert error["param"] is None or isinstance(error["param"], str), told
        assert isinstance(error["code"], str) and error["code"], told


RAW = (
    b"",
    b"\x00",
    b"{}",
    b"[]",
    b"null",
    b"1e999",
    b'{"model": "auto"',
    b'{"model":"auto","model":"e0"}',
    b"\xef\xbb\xbf{}",
    b'{"a":' * 5000,
    b'"\\ud800"',
    b"{" * 100_000,
)


@pytest.mark.parametrize("path", [label.removeprefix("POST ") for label in OPERATIONS if label.startswith("POST")])
async def test_bodies_that_no_schema_makes_up(served: Served, path: str) -> None:
    path = path.replace("{name}", COLLECTION)
    for raw in RAW:
        for kind in ("application/json", "text/plain", "multipart/form-data", ""):
            answer = await served.http.post(path, content=raw, headers={"content-type": kind})
            assert answer.status_code == 400, (raw[:20], kind, answer.text)
            assert set(answer.json()["error"]) == ERROR


@pytest.mark.parametrize("label", OPERATIONS)
async def test_methods_that_a_path_does_not_have(served: Served, label: str) -> None:
    path = label.split(" ")[1]
    good = {method for method, other in (one.split(" ") for one in OPERATIONS) if other == path}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} - good:
        answer = await served.http.request(method, re.sub(r"\{\w+\}", "auto", path))
        assert answer.status_code == 405, (method, answer.text)
        assert answer.json()["error"]["code"] == "method_not_allowed"
        assert set(answer.headers["allow"].split(", ")) == good


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/", "/v1/chat", "/v1/chat/completions/", "//v1/models", "/v1/models/%00", "/v1/%F0%9F%8E%89"],
)
async def test_paths_that_do_not_exist(served: Served, path: str) -> None:
    answer = await served.http.get(path)
    assert answer.status_code in (404, 405), answer.text
    assert set(answer.json()["error"]) == ERROR


async def test_headers_that_are_odd(served: Served) -> None:
    odd: list[dict[str, Any]] = [
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Basic eDp5"},
        {"authorization": "Bearer " + "x" * 5000},
        {"x-request-id": "mine"},
        {"traceparent": "00-zz-1"},
        {"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01", "tracestate": "a=" + "b" * 600},
        {"content-encoding": "gzip"},
        {"accept": "text/html"},
        {"x-odd": b"\xff\xfe".decode("latin-1")},
    ]
    for headers in odd:
        answer = await served.http.post(
            "/v1/chat/completions",
            json={"model": "auto", "messages": [{"role": "user", "content": "hi"}]},
            headers=httpx.Headers(headers, encoding="latin-1"),
        )
        assert answer.status_code == 200, (headers, answer.text)
        assert answer.headers["x-request-id"].startswith("req_")
