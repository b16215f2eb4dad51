"""The circuit breaker by examples, and what must hold after any sequence of calls."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.breaker import CANCELLED, CLIENT_ERROR, OK, Breaker, Outcome, Rules, busy, failed, outcome_of
from experts.errors import (
    ContextLengthError,
    EngineBusyError,
    EngineDownError,
    EngineFaultError,
    NotFoundError,
    StreamCutError,
)
from tests.scripted import Clock

RULES = Rules(failures=3, window=10, share=0.5, open_s=5.0, longest_open_s=20.0)


def run(breaker: Breaker, *outcomes: Outcome) -> None:
    for outcome in outcomes:
        ticket = breaker.admit()
        assert ticket is not None
        breaker.record(ticket, outcome)


def test_opens_after_failures_in_a_row_and_closes_after_one_good_probe() -> None:
    clock = Clock()
    breaker = Breaker(RULES, clock)
    run(breaker, failed("500"), failed("500"), OK, failed("500"), failed("500"))
    assert breaker.state == "closed"

    run(breaker, failed("connection refused"))
    assert (breaker.state, breaker.reason, breaker.retry_after_s) == ("open", "connection refused", 5.0)
    assert breaker.admit() is None

    clock.now = 5.0
    probe = breaker.admit()
    assert probe is not None
    assert breaker.admit() is None, "one probe at a time"
    breaker.record(probe, OK)
    assert breaker.state == "closed"


def test_a_failed_probe_opens_it_for_twice_as_long_up_to_a_limit() -> None:
    clock = Clock()
    breaker = Breaker(RULES, clock)
    run(breaker, *[failed("500")] * 3)
    waits = []
    for _ in range(4):
        waits.append(breaker.retry_after_s)
        clock.now += breaker.retry_after_s
        run(breaker, failed("still 500"))
    assert waits == [5.0, 10.0, 20.0, 20.0]


def test_opens_on_a_share_of_failures_although_none_follow_each_other() -> None:
    breaker = Breaker(RULES, Clock())
    run(breaker, *[OK, failed("500")] * 4, OK)
    assert breaker.state == "closed", "nine calls say too little"
    run(breaker, failed("500"))
    assert breaker.state == "open"


def test_what_the_client_caused_never_opens_it() -> None:
    breaker = Breaker(RULES, Clock())
    run(breaker, *[CLIENT_ERROR, CANCELLED] * 50, failed("500"), failed("500"), CLIENT_ERROR)
    assert breaker.state == "closed"


def test_a_client_error_does_not_end_a_row_of_failures() -> None:
    breaker = Breaker(RULES, Clock())
    run(breaker, failed("500"), CLIENT_ERROR, failed("500"), CLIENT_ERROR, failed("500"))
    assert breaker.state == "open"


def test_busy_cools_down_for_as_long_as_asked_without_opening() -> None:
    clock = Clock()
    breaker = Breaker(RULES, clock)
    first, second = breaker.admit(), breaker.admit()
    assert first is not None and second is not None
    breaker.record(first, busy(12.0, "429: slow down"))
    breaker.record(second, OK)
    assert (breaker.state, breaker.retry_after_s, breaker.reason) == ("cooling", 12.0, "429: slow down")
    assert breaker.admit() is None
    clock.now = 12.0
    assert breaker.state == "closed"


def test_calls_from_before_it_opened_do_not_decide_the_probe() -> None:
    clock = Clock()
    breaker = Breaker(RULES, clock)
    old = breaker.admit()
    assert old is not None
    run(breaker, *[failed("500")] * 3)
    clock.now = 5.0
    probe = breaker.admit()
    assert probe is not None
    breaker.record(old, OK)
    assert breaker.state == "half_open"
    breaker.record(probe, failed("500"))
    assert breaker.state == "open"


def test_a_probe_that_was_cancelled_makes_room_for_another() -> None:
    clock = Clock()
    breaker = Breaker(RULES, clock)
    run(breaker, *[failed("500")] * 3)
    clock.now = 5.0
    run(breaker, CANCELLED)
    assert breaker.admit() is not None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (None, "ok"),
        (asyncio.CancelledError(), "cancelled"),
        (EngineBusyError("429", retry_after_s=3), "busy"),
        (EngineDownError("refused"), "failed"),
        (StreamCutError("cut"), "failed"),
        (EngineFaultError("no such model", status=404), "client_error"),
        (EngineFaultError("wrong key", status=401), "failed"),
        (EngineFaultError("boom", status=500), "failed"),
        (ContextLengthError("too long"), "client_error"),
        (NotFoundError("what?"), "client_error"),
        (ZeroDivisionError(), "cancelled"),
    ],
)
def test_what_an_exception_says_of_the_engine(error: BaseException | None, kind: str) -> None:
    outcome = outcome_of(error)
    assert outcome.kind == kind
    assert outcome.retry_after_s == (3 if kind == "busy" else None)


steps = st.lists(
    st.one_of(
        st.sampled_from([OK, CLIENT_ERROR, CANCELLED, failed("x"), busy(2.0), busy(None)]),
        st.floats(0.1, 30.0),
        st.just("admit"),
    ),
    max_size=80,
)


@given(steps)
def test_whatever_happens(script: list[Outcome | float | str]) -> None:
    clock = Clock()
    breaker = Breaker(RULES, clock)
    held: list[int] = []
    for step in script:
        if isinstance(step, float):
            clock.now += step
        elif step == "admit":
            would, ticket = breaker.would_admit(), breaker.admit()
            assert would == (ticket is not None)
            if ticket is None:
                assert breaker.state in ("open", "cooling", "half_open")
                assert 0 < breaker.retry_after_s <= RULES.longest_open_s
            else:
                held.append(ticket)
        elif held:
            opened = breaker.record(held.pop(0), step)
            assert not opened or (step.kind == "failed" and breaker.state == "open")
        assert (breaker.state == "open") <= bool(breaker.reason)
    for ticket in held:
        breaker.record(ticket, OK)
    clock.now += RULES.longest_open_s
    probe = breaker.admit()
    assert probe is not None, "it always recovers"
    breaker.record(probe, OK)
    assert breaker.state == "closed"
