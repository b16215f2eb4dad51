"""The sentence embedder: the real model against its own library, and the batching against a scripted runtime."""

import asyncio
import itertools
import random
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from experts.errors import SourceError, UnavailableError
from router import minilm, minilm_reference
from router.embed import DIMENSIONS, MAX_TOKENS, Embedder, Encoded

ROOT = Path(__file__).parents[2]
TEXTS = [
    "What is the capital of France?",
    "Paris is the capital of France.",
    "def add(a, b): return a + b",
    "多言語のテキスト und Umlaute äöü 😀",
    "hi",
    "a long story " * 200,
]


@pytest.fixture(scope="module")
def model() -> minilm.MiniLM:
    return minilm.load()


def corpus() -> list[str]:
    """Some hundred texts of all kinds and lengths: prose, tables, code, configuration, many scripts, noise."""
    texts = list(TEXTS)
    for path in [
        *sorted(ROOT.glob("docs/*.md")),
        ROOT / "README.md",
        *sorted(ROOT.glob("router/*.py")),
        ROOT / "Makefile",
    ]:
        parts = [part for part in path.read_text(encoding="utf-8").split("\n\n") if part.strip()]
        texts += parts[:: max(1, len(parts) // 10)]
    chance = random.Random(0)
    for alphabet in (
        "abcdefg ",
        "0123456789.,+-*/= ",
        "аёжшщ ",
        "日本語中文字 ",
        "ابتثجح ",
        "!?;:#@$%^&(){}[] ",
        "😀🎉👩‍💻é ",
    ):
        texts += ["".join(chance.choices(alphabet, k=length)) for length in (1, 3, 20, 150, 1000)]
    return texts


def test_vectors_agree_with_the_reference_on_every_kind_of_text(model: minilm.MiniLM) -> None:
    texts = corpus()
    assert len(texts) > 250
    ours, expected = model.encode(texts), minilm_reference.load().encode(texts)
    assert float((ours.vectors * expected.vectors).sum(axis=1).min()) > 0.99999
    assert (ours.tokens, ours.truncated) == (expected.tokens, expected.truncated)
    assert all(model.split(text) == minilm_reference.load().split(text) for text in texts[:3])


def test_a_long_text_is_split_into_pieces_that_are_read_whole(model: minilm.MiniLM) -> None:
    words = [f"w{number}" for number in range(600)]
    pieces = model.split(" ".join(words))
    assert not any(model.encode(pieces).truncated)
    assert all(any(word in piece.split() for piece in pieces) for word in words)
    assert all(before.split()[-2] in after.split() for before, after in itertools.pairwise(pieces)), "they overlap"
    assert model.split("short") == ["short"]
    assert model.split(" ") == [" "]
    assert len(model.split("x " * 1_000_000)) < 2_000, "the middle of a text without end is left out"


def test_windows_cover_everything_evenly() -> None:
    assert minilm.windows(0) == []
    assert minilm.windows(10, size=10, overlap=2) == [range(10)]
    assert minilm.windows(11, size=10, overlap=2) == [range(7), range(5, 11)]
    for tokens in range(1, 200):
        spans = minilm.windows(tokens, size=10, overlap=2)
        assert {at for span in spans for at in span} == set(range(tokens))
        assert max(map(len, spans)) <= 10


def test_vectors_are_those_of_the_library(model: minilm.MiniLM) -> None:
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(minilm.model_folder()), device="cpu", local_files_only=True)
    encoded = model.encode(TEXTS)
    expected = reference.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(encoded.vectors, expected, atol=2e-6)
    assert encoded.vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(encoded.vectors.astype(np.float64), axis=1), 1, atol=1e-6)
    near, far = encoded.vectors[0] @ encoded.vectors[1], encoded.vectors[0] @ encoded.vectors[2]
    assert near > 0.8 > 0.2 > far


def test_tokens_are_those_read_and_a_cut_is_told(model: minilm.MiniLM) -> None:
    encoded = model.encode(["hi", "hi there", "word " * 254, "word " * 255])
    assert encoded.tokens == (3, 4, MAX_TOKENS, MAX_TOKENS)
    assert encoded.truncated == (False, False, False, True)


def test_passes_hold_rows_of_like_length_and_few_tokens() -> None:
    assert list(minilm.groups([3, 100, 4, 90], limit=200)) == [[1, 3], [2, 0]]
    assert list(minilm.groups([500, 3], limit=200)) == [[0], [1]]
    assert list(minilm.groups([128, 40, 120], limit=2000)) == [[0, 2], [1]], "a short row is not padded to a long one"
    assert list(minilm.groups([])) == []


def test_loading_says_nothing() -> None:
    """In a process of its own, where nothing has been imported: no progress bar, no warning, no network."""
    code = "from router import minilm; print(minilm.load().encode(['hi']).tokens)"
    run = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, timeout=120)
    assert (run.stdout, run.stderr, run.returncode) == ("(3,)\n", "", 0)


def test_importing_the_embedder_imports_nothing_heavy() -> None:
    code = "import sys, router.embed; print([m for m in ('numpy', 'torch', 'transformers') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "[]\n"


class Scripted:
    """A runtime whose vector of a text is its length, and which stands still while `gate` is closed."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Event()
        self.batches: list[list[str]] = []
        self.splits: list[str] = []

    def encode(self, texts: Sequence[str]) -> Encoded:
        self.batches.append(list(texts))
        self.began.set()
        assert self.gate.wait(10)
        if "broken" in texts:
            raise RuntimeError("scripted")
        vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
        vectors[:, 0] = [len(text) for text in texts]
        return Encoded(vectors, tuple(len(text) for text in texts), (False,) * len(texts))

    def split(self, text: str) -> list[str]:
        self.splits.append(text)
        if "broken" in text:
            raise RuntimeError("scripted")
        return [text[at : at + 100] for at in range(0, len(text), 100)]


@pytest.fixture
def runtime() -> Scripted:
    return Scripted()


@pytest.fixture
async def embedder(runtime: Scripted) -> AsyncIterator[Embedder]:
    embedder = Embedder(lambda: runtime, batch_texts=4)
    yield embedder
    runtime.gate.set()
    await embedder.close()


async def busy(embedder: Embedder, runtime: Scripted) -> "asyncio.Task[Encoded]":
    """A first call, held in the runtime."""
    runtime.gate.clear()
    first = asyncio.ensure_future(embedder.encode(["first"]))
    assert await asyncio.to_thread(runtime.began.wait, 5)
    return first


async def test_rows_come_in_the_order_of_the_texts(embedder: Embedder, runtime: Scripted) -> None:
    vectors = await embedder.embed(["ccc", "a", "bb", "a"])
    assert vectors[:, 0].tolist() == [3, 1, 2, 1]
    assert runtime.batches == [["a", "bb", "ccc"]], "the same text is encoded once"
    assert (await embedder.embed([])).shape == (0, DIMENSIONS)


async def test_what_arrives_meanwhile_makes_up_the_next_batch(embedder: Embedder, runtime: Scripted) -> None:
    first = await busy(embedder, runtime)
    others = [asyncio.ensure_future(embedder.encode([text])) for text in ("a", "bb", "a", "ccc")]
    await asyncio.sleep(0)
    runtime.gate.set()
    assert [int((await other).vectors[0, 0]) for other in others] == [1, 2, 1, 3]
    assert runtime.batches == [["first"], ["a", "bb", "ccc"]]
    assert (await first).tokens == (5,)


async def test_one_text_does_not_wait_for_somebodys_thousand(embedder: Embedder, runtime: Scripted) -> None:
    first = await busy(embedder, runtime)
    many = asyncio.ensure_future(embedder.encode([f"text {n}" for n in range(1000)]))
    await asyncio.sleep(0)
    one = asyncio.ensure_future(embedder.encode(["one"]))
    await asyncio.sleep(0)
    runtime.gate.set()
    await one
    assert "one" in runtime.batches[1] and len(runtime.batches[1]) == 4
    assert not many.done()
    assert len((await many).tokens) == 1000
    await first


async def test_long_texts_make_smaller_batches(embedder: Embedder, runtime: Scripted) -> None:
    wide = Embedder(lambda: runtime, batch_texts=32)
    await wide.embed([letter * 5000 for letter in "abcdefghijkl"])
    assert [len(batch) for batch in runtime.batches] == [8, 4]
    await wide.close()


async def test_a_known_text_costs_nothing(embedder: Embedder, runtime: Scripted) -> None:
    once = await embedder.encode(["known"])
    again = await embedder.encode(["known"])
    assert again.vectors.tolist() == once.vectors.tolist() and again.tokens == (5,)
    assert len(runtime.batches) == 1
    small = Embedder(lambda: runtime, cache_texts=2)
    for text in ("a", "b", "a", "c", "a", "b"):  # the least recently used leaves: b for c, c for b
        await small.embed([text])
    assert [batch[0] for batch in runtime.batches[1:]] == ["a", "b", "c", "b"]
    await small.close()


async def test_concurrent_first_calls_load_once() -> None:
    loads = []

    def load() -> Scripted:
        loads.append(threading.current_thread() is threading.main_thread())
        return Scripted()

    embedder = Embedder(load)
    assert not embedder.loaded
    await asyncio.gather(*(embedder.embed([str(n)]) for n in range(20)))
    assert loads == [False], "once, and not in the event loop's thread"
    assert embedder.loaded
    await embedder.close()


async def test_a_failed_load_is_told_to_all_and_tried_again(runtime: Scripted) -> None:
    failures = iter([SourceError("the weights are missing"), None])

    def load() -> Scripted:
        if (error := next(failures)) is not None:
            raise error
        return runtime

    embedder = Embedder(load, batch_texts=1)
    told = await asyncio.gather(*(embedder.embed([str(n)]) for n in range(5)), return_exceptions=True)
    assert [str(error) for error in told] == ["the weights are missing"] * 5
    assert (await embedder.embed(["0"]))[0, 0] == 1
    await embedder.close()


async def test_a_failing_batch_fails_its_callers_alone(embedder: Embedder, runtime: Scripted) -> None:
    with pytest.raises(RuntimeError, match="scripted"):
        await embedder.embed(["broken"])
    assert (await embedder.embed(["fine"]))[0, 0] == 4


async def test_a_cancelled_caller_does_not_hurt_others(embedder: Embedder, runtime: Scripted) -> None:
    first = await busy(embedder, runtime)
    leaves = asyncio.ensure_future(embedder.embed(["shared", "unwanted"]))
    await asyncio.sleep(0)
    stays = asyncio.ensure_future(embedder.embed(["shared"]))
    await asyncio.sleep(0)
    leaves.cancel()
    first.cancel()
    await asyncio.gather(leaves, first, return_exceptions=True)
    runtime.gate.set()
    assert (await stays)[0, 0] == 6
    assert runtime.batches == [["first"], ["shared"]], "what nobody waits for is not computed"
    assert (await embedder.embed(["unwanted"]))[0, 0] == 8


async def test_a_text_given_up_and_asked_for_again_is_computed_once(embedder: Embedder, runtime: Scripted) -> None:
    first = await busy(embedder, runtime)
    gone = asyncio.ensure_future(embedder.embed(["again"]))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    back = asyncio.ensure_future(embedder.embed(["again"]))
    await asyncio.sleep(0)
    runtime.gate.set()
    assert (await back)[0, 0] == 5
    assert runtime.batches == [["first"], ["again"]]
    await first


async def test_close_refuses_what_waits_and_lets_the_running_batch_end(embedder: Embedder, runtime: Scripted) -> None:
    first = await busy(embedder, runtime)
    waiting = asyncio.ensure_future(embedder.embed(["waiting"]))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(embedder.close())
    with pytest.raises(UnavailableError, match="stopping"):
        await waiting
    runtime.gate.set()
    await closing
    assert (await first).tokens == (5,)
    with pytest.raises(UnavailableError):
        await embedder.embed(["late"])
    await embedder.close()


async def test_half_a_surrogate_pair_is_read_as_a_question_mark(embedder: Embedder) -> None:
    assert (await embedder.encode(["\ud800!"])).vectors[0, 0] == 2


async def test_the_event_loop_goes_on_while_the_model_works(model: minilm.MiniLM) -> None:
    embedder = Embedder(lambda: model)
    task = asyncio.ensure_future(embedder.embed(["some words " * 100, *(f"{n} words " * 60 for n in range(16))]))
    turns = 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0.001)
    assert turns > 5
    await embedder.close()


async def test_a_text_that_fits_is_one_window_and_not_split(embedder: Embedder, runtime: Scripted) -> None:
    assert (await embedder.windows("abc"))[:, 0].tolist() == [3]
    assert runtime.splits == []


async def test_signals_that_ask_together_share_the_pieces_and_their_vectors(
    embedder: Embedder, runtime: Scripted
) -> None:
    text = "".join(str(number % 10) * 97 for number in range(5))  # 485 characters
    found = await asyncio.gather(*(embedder.windows(text) for _ in range(4)))
    assert [rows[:, 0].tolist() for rows in found] == [[100, 100, 100, 100, 85]] * 4
    assert runtime.splits == [text]
    assert sum(map(len, runtime.batches)) == 5


async def test_of_too_many_pieces_the_ends_are_read_and_some_between(embedder: Embedder, runtime: Scripted) -> None:
    text = "".join(chr(ord("a") + number) * 100 for number in range(11))
    assert (await embedder.windows(text, most=3)).shape[0] == 3
    assert sorted(piece[0] for batch in runtime.batches for piece in batch) == ["a", "f", "k"]
    assert (await embedder.windows(text, most=1)).shape[0] == 1


async def test_a_text_that_cannot_be_split_is_told_and_tried_again(embedder: Embedder, runtime: Scripted) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError, match="scripted"):
            await embedder.windows("broken " * 100)
    assert len(runtime.splits) == 2
    await embedder.close()
    with pytest.raises(UnavailableError):
        await embedder.windows("late " * 100)


def test_what_is_not_installed_is_named_without_loading_anything() -> None:
    assert Embedder().missing() is None
