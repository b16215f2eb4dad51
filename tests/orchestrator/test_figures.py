"""Live figures of experts: speed that follows what is recent, feedback as users gave it."""

import pytest

from orchestrator.caller import Key
from orchestrator.figures import FORGOTTEN_S, HALF_LIFE_S, Figures
from orchestrator.store.recorder import Recorder
from orchestrator.store.records import CallRecord, RequestRecord
from orchestrator.store.store import Store
from router.tools import Reward

ALICE = Key("key_a", "alice")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def record(id: str, expert: str, first_token_s: float | None = None) -> RequestRecord:
    return RequestRecord(
        id=id,
        created_at=1.8e9,
        path="chat/completions",
        key_id=ALICE.id,
        expert=expert,
        calls=(CallRecord(expert, first_token_s=first_token_s),),
    )


def test_recent_calls_count_most_and_old_ones_are_forgotten() -> None:
    clock = Clock()
    figures = Figures(clock)
    assert figures.latency("a") is None
    figures.note(record("1", "a", 1.0))
    figures.note(record("2", "a", None))  # a call that never began an answer says nothing
    assert figures.latency("a") == 1.0
    figures.note(record("3", "a", 3.0))
    assert figures.latency("a") == 2.0
    clock.now += HALF_LIFE_S
    figures.note(record("4", "a", 5.0))
    assert figures.latency("a") == pytest.approx(3.5), "two calls that count half each, and one"
    clock.now += FORGOTTEN_S
    assert figures.latency("a") is None
    assert figures.latency("b") is None


async def test_feedback_is_read_from_the_store(database_url: str) -> None:
    store = await Store.open(database_url)
    recorder = Recorder(store, retention_days=None)
    recorder.start()
    figures = Figures()
    await figures.refresh(store)
    assert figures.reward("a") == Reward(0, 0)
    for number, (expert, score) in enumerate([("a", 1.0), ("a", 0.5), ("b", 0.0)]):
        recorder.put(record(f"req-{number}", expert))
        await recorder.feedback(f"req-{number}", ALICE, score)
    recorder.put(record("req-9", "b"))  # nobody judged it
    await recorder.flush()
    await figures.refresh(store)
    assert (figures.reward("a"), figures.reward("b")) == (Reward(2, 0.75), Reward(1, 0.0))
    await recorder.close()
    await store.close()
