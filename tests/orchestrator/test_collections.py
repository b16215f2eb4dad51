"""Documents put into collections and found again: on SQLite and PostgreSQL, with the real embedder."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from experts.errors import ConflictError, InputError, NotFoundError
from orchestrator.collection_index import Hit
from orchestrator.collections import Bounds, Collections, Given
from orchestrator.store.store import Store
from router.embed import Embedder
from tests.fakes import until

BOOKS = [
    Given("The Aldern bridge was opened in 1931. It is 412 metres long.", id="bridge", title="Aldern bridge"),
    Given("To bake rye bread, feed the sourdough the evening before.", id="bread", url="https://example.org/bread"),
    Given("Error E4711 means that the pump has lost its prime; refill it.", id="pump"),
    Given("桜は春に咲きます。富士山は日本で一番高い山です。", id="japan", metadata={"lang": "ja"}),
]


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def embedder() -> AsyncIterator[Embedder]:
    made = Embedder()
    yield made
    await made.close()


@pytest.fixture
async def books(store: Store, embedder: Embedder) -> Collections:
    made = Collections(store, embedder)
    await made.create("acme", "books", "of all kinds")
    await made.put("acme", "books", BOOKS)
    return made


async def found(books: Collections, question: str, **more: str) -> list[str]:
    hits = await books.search("acme", "books", question, 2, **more)  # type: ignore[arg-type]
    return [hit.passage.document for hit in hits]


async def test_a_passage_is_found_by_meaning_by_words_and_by_both(books: Collections) -> None:
    assert (await found(books, "How do I make a loaf?"))[0] == "bread"
    assert await found(books, "E4711", by="words") == ["pump"]
    assert (await found(books, "E4711"))[0] == "pump"
    assert (await found(books, "富士山"))[0] == "japan"
    assert await found(books, "unheard", by="words") == []
    assert await found(books, "  ") == []


async def test_both_is_the_cosine_and_the_square_of_the_share_of_words(books: Collections) -> None:
    def by_document(hits: list[Hit]) -> dict[str, float]:
        return {hit.passage.document: hit.score for hit in hits}

    words = by_document(await books.search("acme", "books", "rye bread bridge", 9, "words"))
    vectors = by_document(await books.search("acme", "books", "rye bread bridge", 9, "vectors"))
    hits = await books.search("acme", "books", "rye bread bridge", 9)
    assert set(words) == {"bread", "bridge"} and all(0 < share < 1 for share in words.values())
    assert by_document(hits) == pytest.approx(
        {id: cos + words.get(id, 0) ** 2 for id, cos in vectors.items()}, abs=1e-6
    )
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    (only,) = await books.search("acme", "books", "E4711", 9, "words")
    assert only.score >= 1  # all of its words, in a short passage


async def test_another_tenant_has_nothing_of_it(books: Collections) -> None:
    assert await books.all("other") == []
    for refused in (
        books.get("other", "books"),
        books.search("other", "books", "bridge", 3),
        books.documents("other", "books"),
        books.document("other", "books", "bridge"),
        books.put("other", "books", BOOKS[:1]),
        books.delete_document("other", "books", "bridge"),
        books.delete("other", "books"),
    ):
        with pytest.raises(NotFoundError, match="there is no collection 'books'"):
            await refused
    await books.create("other", "books")
    assert await books.search("other", "books", "bridge", 3) == []
    await books.delete("other", "books")
    assert (await found(books, "bridge"))[0] == "bridge"


async def test_what_is_replaced_or_deleted_is_not_found_any_more_by_any_worker(
    books: Collections, store: Store, embedder: Embedder
) -> None:
    other = Collections(store, embedder)  # another worker, on the same database
    assert (await found(other, "bridge 1931"))[0] == "bridge"
    await books.put("acme", "books", [Given("The harbour has 12 cranes.", id="bridge")])
    hits = await other.search("acme", "books", "bridge 1931", 9)
    assert "1931" not in str([hit.passage.text for hit in hits])
    assert (await found(other, "how many cranes?"))[0] == "bridge"
    await books.delete_document("acme", "books", "bridge")
    assert "bridge" not in await found(other, "how many cranes?")
    await books.delete("acme", "books")
    with pytest.raises(NotFoundError):
        await found(other, "bread")
    await books.create("acme", "books")  # of the same name, and empty
    assert await found(other, "bread") == []


async def test_only_documents_that_came_since_are_read_again(books: Collections) -> None:
    before = await books.search("acme", "books", "bread", 9)
    await books.put("acme", "books", [Given("Cheese is made of milk.", id="cheese")])
    after = await books.search("acme", "books", "bread", 9)
    assert {id(hit.passage) for hit in before} < {id(hit.passage) for hit in after}


async def test_counts_lists_and_pages(books: Collections) -> None:
    (collection,) = await books.all("acme")
    assert (collection.name, collection.documents, collection.passages) == ("books", 4, 4)
    ids = [one.id for one in await books.documents("acme", "books", limit=3)]
    assert ids == ["bread", "bridge", "japan"]
    assert [one.id for one in await books.documents("acme", "books", after=ids[-1])] == ["pump"]
    document = await books.document("acme", "books", "japan")
    assert (document.text, document.metadata, document.count) == (BOOKS[3].text, {"lang": "ja"}, 1)


async def test_passages_are_what_the_embedder_reads_whole_in_any_script(store: Store, embedder: Embedder) -> None:
    books = Collections(store, embedder)
    await books.create("acme", "books")
    texts = ["漢字" * 900, "word " * 900, "🎉" * 700, "x1y2" * 500]
    await books.put("acme", "books", [Given(text, title="T" * 300) for text in texts])
    hits = await books.search("acme", "books", "word", 50)
    read = await embedder.encode([f"{'T' * 100}\n{hit.passage.text}" for hit in hits])
    long = [hit.passage.text for hit, cut in zip(hits, read.truncated, strict=True) if cut]
    assert all(len(text) <= 64 for text in long)
    vectors = np.stack([hit.passage.vector for hit in hits])
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-5
    assert np.abs(vectors - read.vectors).max() < 1e-5


async def test_odd_texts_are_kept_as_a_database_can_hold_them(books: Collections) -> None:
    await books.put(
        "acme", "books", [Given("nul \x00 and \ud800 half", id="odd", title="\x00", metadata={"\x00": "\x00"})]
    )
    document = await books.document("acme", "books", "odd")
    assert document.text == "nul � and ? half"
    assert document.metadata == {"�": "�"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([Given("x", id="a/b")], r"documents\[0\]|letters, digits"),
        ([Given("x", id="a"), Given("y", id="a")], "given twice"),
        ([Given(" \n ")], "needs some text"),
        ([Given("Some words. " * 100_000)], "are taken at once"),
    ],
)
async def test_what_cannot_be_taken_in_is_refused_whole(books: Collections, given: list[Given], told: str) -> None:
    with pytest.raises(InputError, match=told):
        await books.put("acme", "books", [Given("Good.", id="good"), *given])
    assert (await books.get("acme", "books")).documents == 4


async def test_bounds_of_a_collection_and_of_a_tenant(books: Collections, store: Store, embedder: Embedder) -> None:
    books = Collections(store, embedder, Bounds(collections=1, documents=5))
    with pytest.raises(InputError, match="may hold 5 documents; it has 4 and 2"):
        await books.put("acme", "books", [Given("x"), Given("y")])
    with pytest.raises(InputError, match="may have 1 collections"):
        await books.create("acme", "more")
    await books.create("other", "books")


async def test_names_are_plain_and_given_once(books: Collections) -> None:
    for name in ("", "a/b", "ä", "x" * 65, "a\x00"):
        with pytest.raises(InputError, match="name"):
            await books.create("acme", name)
        with pytest.raises(NotFoundError):
            await books.get("acme", name)
    with pytest.raises(ConflictError, match="already"):
        await books.create("acme", "books")


async def test_a_collection_deleted_while_documents_are_embedded_takes_none_in(books: Collections) -> None:
    putting = asyncio.ensure_future(books.put("acme", "books", [Given(f"Text number {n}. " * 40) for n in range(20)]))
    await until(lambda: books._embedder._pending)
    await books.delete("acme", "books")
    with pytest.raises(NotFoundError):
        await putting
    assert await books.all("acme") == []


async def test_many_writers_and_readers_at_once(books: Collections) -> None:
    async def write(at: int) -> None:
        await books.put("acme", "books", [Given(f"Note {at} of the ferry to Vesby.", id=f"n{at}")])
        if at % 2:
            await books.delete_document("acme", "books", f"n{at}")

    async def read() -> None:
        for _ in range(5):
            assert await books.search("acme", "books", "the ferry", 3)

    await asyncio.gather(*(write(at) for at in range(10)), read(), read())
    hits = await books.search("acme", "books", "ferry to Vesby", 50, "words")
    assert sorted(hit.passage.document for hit in hits) == ["n0", "n2", "n4", "n6", "n8"]
