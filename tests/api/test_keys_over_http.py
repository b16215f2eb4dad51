"""Keys at the door: who may ask what, how much, and what revoking does to a running server."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from orchestrator.caller import Quota
from tests.fakes import Upstream, until
from tests.serving import Served, serving

POLICY = """
experts:
  a: {{backend: openai, url: "{url}", model: ok, price: {{input: 1000000, output: 0}}}}
  b: {{backend: openai, url: "{url}", model: ok}}
signals:
  staff: {{type: metadata, of: roles, equals: staff}}
decisions:
  - {{name: inside, when: staff, use: [b]}}
  - {{name: rest, use: [a]}}
"""


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with Upstream().running() as upstream, serving(POLICY.format(url=upstream.url), tmp_path) as served:
        yield served


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def ask(served: Served, token: str, path: str = "/v1/chat/completions", **more: object) -> httpx.Response:
    body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}], **more}
    return await served.http.post(path, json=body, headers=bearer(token))


async def test_without_any_key_this_machine_may_ask_freely(served: Served) -> None:
    assert (await served.chat()).status_code == 200


async def test_once_a_key_exists_every_request_needs_one(served: Served) -> None:
    _, token = await served.service.keys.create("alice")
    assert (await served.chat()).status_code == 401
    wrong = await ask(served, "sk-mad-wrong")
    assert wrong.status_code == 401
    assert wrong.json()["error"]["code"] == "invalid_api_key"
    assert (await ask(served, token)).status_code == 200
    for path in ("/v1/models", "/v1/usage"):
        assert (await served.http.get(path)).status_code == 401
    for path in ("/health", "/ready", "/metrics"):
        assert (await served.http.get(path)).status_code == 200


async def test_a_revoked_key_stops_working_and_the_others_go_on(served: Served) -> None:
    keys = served.service.keys
    _, token = await keys.create("alice")
    _, other = await keys.create("bob")
    assert (await ask(served, token)).status_code == 200
    await keys.revoke("alice")

    async def refused() -> bool:
        return (await ask(served, token)).status_code == 401

    await until(refused)
    assert (await ask(served, other)).status_code == 200


async def test_roles_come_from_the_key_and_never_from_headers_or_body(served: Served) -> None:
    _, plain = await served.service.keys.create("plain")
    _, staff = await served.service.keys.create("staff", roles=["staff"])
    lying = await served.http.post(
        "/v1/chat/completions",
        json={
            "model": "auto",
            "messages": [{"role": "user", "content": "hello"}],
            "user": "staff",
            "metadata": {"roles": "staff"},
            "roles": ["staff"],
        },
        headers={**bearer(plain), "x-madrigal-role": "staff", "roles": "staff"},
    )
    assert lying.headers["x-madrigal-decision"] == "rest"
    assert (await ask(served, staff)).headers["x-madrigal-decision"] == "inside"


async def test_a_key_may_call_only_its_models(served: Served) -> None:
    _, token = await served.service.keys.create("narrow", models=["b"])
    assert (await ask(served, token, model="b")).status_code == 200
    refused = await ask(served, token)
    assert refused.status_code == 403
    listed = await served.http.get("/v1/models", headers=bearer(token))
    assert [entry["id"] for entry in listed.json()["data"]] == ["b"]


async def test_traces_and_routes_need_the_role(served: Served) -> None:
    _, plain = await served.service.keys.create("plain")
    _, tracer = await served.service.keys.create("tracer", roles=["trace"])
    assert (await ask(served, plain, "/v1/route")).status_code == 403
    assert (await ask(served, plain, madrigal={"trace": True})).status_code == 403
    assert (await ask(served, tracer, "/v1/route")).json()["decision"] == "rest"
    assert "madrigal" in (await ask(served, tracer, madrigal={"trace": True})).json()


async def test_request_limits_say_when_to_come_back(served: Served) -> None:
    _, token = await served.service.keys.create("slow", quota=Quota(requests_per_minute=2))
    answers = [await ask(served, token) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["x-ratelimit-limit-requests"] == "2"
    assert 1 <= int(answers[2].headers["retry-after"]) <= 62
    assert answers[2].json()["error"]["code"] == "rate_limit_exceeded"


async def test_a_spent_budget_ends_the_answers(served: Served) -> None:
    _, token = await served.service.keys.create("poor", quota=Quota(budget_usd=10.0, budget_period="total"))
    assert (await ask(served, token)).status_code == 200  # 7 prompt tokens at a dollar each
    assert (await ask(served, token)).status_code == 200  # 14 dollars now
    refused = await ask(served, token)
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "insufficient_quota"


async def test_feedback_is_for_ones_own_requests(served: Served) -> None:
    _, alice = await served.service.keys.create("alice")
    _, bob = await served.service.keys.create("bob")
    request_id = (await ask(served, alice)).headers["x-request-id"]
    body = {"request_id": request_id, "score": 1.0}
    assert (await served.http.post("/v1/feedback", json=body, headers=bearer(bob))).status_code == 404
    assert (await served.http.post("/v1/feedback", json=body, headers=bearer(alice))).status_code == 200
    assert (await served.http.post("/v1/feedback", json=body, headers=bearer(alice))).status_code == 409


async def test_usage_is_ones_own_unless_admin(served: Served) -> None:
    _, alice = await served.service.keys.create("alice")
    _, root = await served.service.keys.create("root", roles=["admin"])
    await ask(served, alice)
    own = (await served.http.get("/v1/usage", headers=bearer(alice))).json()["data"]
    assert own[0]["requests"] == 1
    assert (await served.http.get("/v1/usage?of=root", headers=bearer(alice))).status_code == 403
    seen = (await served.http.get("/v1/usage?of=alice", headers=bearer(root))).json()["data"]
    assert seen == own
