"""`/v1/embeddings` through the real application, the real embedder and OpenAI's own client."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from openai import AsyncOpenAI, NotFoundError

from orchestrator.caller import Quota
from orchestrator.store.models import requests
from router.embed import MODEL
from tests.serving import Served, serving

POLICY = """
experts:
  a: {backend: openai, url: "http://127.0.0.1:9/v1", model: ok}
decisions:
  - {name: rest, use: [a]}
embeddings: {max_inputs: 8}
"""


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(POLICY, tmp_path) as served:
        yield served


async def post(served: Served, **body: Any) -> Any:
    return await served.http.post("/v1/embeddings", json={"model": MODEL, "input": "hi", **body})


async def test_openais_client_gets_unit_vectors(served: Served) -> None:
    """The client asks for base64 by itself and decodes it; floats are the same numbers."""
    assert not served.service.embedder.loaded, "a server that embeds nothing pays nothing"
    texts = ["The capital of France is Paris.", "Paris is France's capital.", "Tomatoes are red."]
    async with AsyncOpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        by_base64 = await client.embeddings.create(model=MODEL, input=texts)
        by_float = await client.embeddings.create(model=MODEL, input=texts, encoding_format="float")
        one = await client.embeddings.create(model=MODEL, input=texts[0])
        with pytest.raises(NotFoundError) as raised:
            await client.embeddings.create(model="a", input=texts)
    vectors = np.array([row.embedding for row in by_base64.data])
    assert vectors.shape == (3, 384)
    np.testing.assert_array_equal(vectors.astype("f4"), np.array([row.embedding for row in by_float.data], "f4"))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors[0] @ vectors[1] > 0.9 > 0.3 > vectors[0] @ vectors[2]
    np.testing.assert_allclose(one.data[0].embedding, vectors[0], atol=1e-6)
    assert [row.index for row in by_base64.data] == [0, 1, 2]
    assert by_base64.usage.prompt_tokens == by_base64.usage.total_tokens == 9 + 9 + 6, "words, the full stop, two marks"
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


async def test_base64_is_little_endian_float32(served: Served) -> None:
    row = (await post(served, encoding_format="base64")).json()["data"][0]["embedding"]
    floats = (await post(served)).json()["data"][0]["embedding"]
    assert np.frombuffer(base64.b64decode(row), "<f4").tolist() == np.array(floats, "f4").tolist()


async def test_a_long_text_is_cut_and_the_answer_says_so(served: Served) -> None:
    cut, whole = "word " * 1000, "word " * 254
    answer = (await post(served, input=["hi", cut, whole])).json()
    assert answer["usage"] == {"prompt_tokens": 3 + 256 + 256, "total_tokens": 3 + 256 + 256}
    assert answer["madrigal"] == {"truncated": [1]}
    assert answer["data"][1]["embedding"] == pytest.approx(answer["data"][2]["embedding"], abs=1e-6)
    assert "madrigal" not in (await post(served)).json()


@pytest.mark.parametrize(
    ("body", "param", "word"),
    [
        ({"input": ""}, "input", "1 character"),
        ({"input": []}, "input", "1 item"),
        ({"input": ["fine", ""]}, "input[1]", "1 character"),
        ({"input": ["x"] * 9}, "input", "at most 8"),
        ({"input": [1, 2, 3]}, "input", "check_embedding_ctx_length=False"),
        ({"input": [[1, 2], [3]]}, "input", "check_embedding_ctx_length=False"),
        ({"input": None}, "input", "string"),
        ({"input": {"text": "x"}}, "input", "string"),
        ({"dimensions": 256}, "dimensions", "384"),
        ({"encoding_format": "hex"}, "encoding_format", "base64"),
        ({"model": ""}, "model", "1 character"),
    ],
)
async def test_bad_input_is_refused_by_name(served: Served, body: dict[str, Any], param: str, word: str) -> None:
    answer = await post(served, **body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == param and word in error["message"]
    assert not served.service.embedder.loaded


async def test_dimensions_may_be_named_if_they_are_right(served: Served) -> None:
    assert (await post(served, dimensions=384)).status_code == 200


async def test_the_embedder_is_listed_among_the_models(served: Served) -> None:
    entry = (await served.http.get(f"/v1/models/{MODEL}")).json()
    assert entry["madrigal"]["kind"] == "embedder" and entry["madrigal"]["dimensions"] == 384


async def test_keys_models_and_limits_hold(served: Served) -> None:
    keys = served.service.keys
    _, chat_only = await keys.create("chat", models=["auto"])
    _, token = await keys.create("both", models=["auto", MODEL], quota=Quota(tokens_per_minute=300))
    assert (await post(served)).status_code == 401

    async def ask(token: str, text: str = "hi") -> Any:
        headers = {"authorization": f"Bearer {token}"}
        return await served.http.post("/v1/embeddings", json={"model": MODEL, "input": text}, headers=headers)

    forbidden = await ask(chat_only)
    assert (forbidden.status_code, forbidden.json()["error"]["param"]) == (403, "model")
    good = await ask(token, "word " * 500)
    assert good.status_code == 200 and "x-ratelimit-remaining-tokens" in good.headers
    limited = await ask(token, "word " * 500)
    assert limited.status_code == 429 and "retry-after" in limited.headers
    used = await served.http.get("/v1/usage", headers={"authorization": f"Bearer {token}"})
    assert used.json()["data"][0]["prompt_tokens"] == 256


async def test_every_request_is_recorded_without_its_text(served: Served) -> None:
    await post(served, input="a secret text")
    await post(served, dimensions=384, model="nothing")
    service = served.service
    await service.recorder.flush()
    async with service.store.engine.connect() as connection:
        rows = (await connection.execute(sa.select(requests).order_by(requests.c.created_at))).mappings().all()
    assert [(row["path"], row["outcome"], row["status"], row["expert"]) for row in rows] == [
        ("embeddings", "ok", 200, MODEL),
        ("embeddings", "error", 404, None),
    ]
    assert rows[0]["prompt_tokens"] == 5
    assert "secret" not in str(rows)
    assert await served.counted('operation="embeddings",outcome="ok"')


async def test_langchain_embeds_texts(served: Served) -> None:
    from langchain_openai import OpenAIEmbeddings

    embeddings = OpenAIEmbeddings(
        model=MODEL,
        base_url=f"{served.url}/v1",
        api_key="none",
        check_embedding_ctx_length=False,
        http_async_client=served.http,  # its own would stay open
    )
    vectors = await embeddings.aembed_documents(["one", "two"])
    assert len(vectors) == 2 and len(vectors[0]) == 384
