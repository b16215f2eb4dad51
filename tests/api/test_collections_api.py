"""`/v1/collections` and `/v1/memory` as clients see them: what is wrong is told by field, pages are whole, methods are named."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from api.collections_schemas import MAX_GIVEN, MAX_TEXT
from tests.serving import Served, serving

POLICY = 'experts: {e: {backend: openai, url: "http://127.0.0.1:1/v1", model: e}}'


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(POLICY, tmp_path) as served:
        assert (await served.http.post("/v1/collections", json={"name": "books"})).status_code == 200
        yield served


async def put(served: Served, *documents: dict[str, Any]) -> Any:
    return await served.http.post("/v1/collections/books/documents", json={"documents": list(documents)})


@pytest.mark.parametrize(
    ("document", "param"),
    [
        ({}, "documents[0].text"),
        ({"text": ""}, "documents[0].text"),
        ({"text": " \n "}, "documents[0].text"),
        ({"text": "x" * (MAX_TEXT + 1)}, "documents[0].text"),
        ({"text": "x", "id": "a/b"}, "documents[0].id"),
        ({"text": "x", "id": ""}, "documents[0].id"),
        ({"text": "x", "url": "javascript:alert(1)"}, "documents[0].url"),
        ({"text": "x", "title": "t" * 301}, "documents[0].title"),
        ({"text": "x", "metadata": {"a": [1]}}, "documents[0].metadata.a"),
        ({"text": "x", "metadata": {str(n): n for n in range(17)}}, "documents[0].metadata"),
        ({"text": "x", "vector": [1]}, "documents[0].vector"),
    ],
)
async def test_a_wrong_document_is_told_by_field_and_none_is_kept(
    served: Served, document: dict[str, Any], param: str
) -> None:
    answer = await put(served, document)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert (await served.http.get("/v1/collections/books")).json()["documents"] == 0


async def test_too_much_at_once_is_refused_before_it_is_embedded(served: Served) -> None:
    many = await put(served, *({"text": "x"} for _ in range(MAX_GIVEN + 1)))
    assert many.status_code == 400 and many.json()["error"]["param"] == "documents"
    long = await put(served, *({"text": "Some words. " * 40_000} for _ in range(2)))
    assert long.status_code == 400 and long.json()["error"]["code"] == "too_large"
    assert not served.service.embedder.loaded


async def test_pages_and_deletion(served: Served) -> None:
    put_in = await put(served, *({"text": f"Text {n}.", "id": f"d{n}"} for n in range(5)))
    assert [one["id"] for one in put_in.json()["data"]] == [f"d{n}" for n in range(5)]
    seen: list[str] = []
    more = True
    while more:
        query = {"limit": 2, "after": seen[-1] if seen else ""}
        page = (await served.http.get("/v1/collections/books/documents", params=query)).json()
        seen += [one["id"] for one in page["data"]]
        more = page["has_more"]
    assert seen == [f"d{n}" for n in range(5)]
    assert (await served.http.delete("/v1/collections/books/documents/d0")).json()["deleted"] is True
    assert (await served.http.get("/v1/collections/books/documents/d0")).status_code == 404
    assert (await served.http.delete("/v1/collections/books/documents/d0")).status_code == 404
    assert (await served.http.delete("/v1/collections/books")).json()["deleted"] is True
    assert (await served.http.get("/v1/collections")).json()["data"] == []
    assert (await put(served, {"text": "x"})).status_code == 404


async def test_a_name_is_free_again_once_its_collection_is_deleted(served: Served) -> None:
    again = await served.http.post("/v1/collections", json={"name": "books"})
    assert again.status_code == 409 and "already" in again.json()["error"]["message"]
    await served.http.delete("/v1/collections/books")
    assert (await served.http.post("/v1/collections", json={"name": "books"})).status_code == 200


async def test_a_method_that_a_path_lacks_names_all_it_has(served: Served) -> None:
    answer = await served.http.patch("/v1/memory")
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "PUT", "DELETE"}
