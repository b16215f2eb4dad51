"""Conversations that stay with their expert: a tool loop is never broken, a short follow-up does not bounce."""

from typing import Any

import pytest
from policies import Script, card, decision, go, names, policy, signal

from experts.errors import ConfigError
from router.prompt import Prompt
from router.session import Previous, fingerprint, fingerprint_before, kept, tool_loop
from router.signals import Signal
from router.spec import ConstraintSpec, SessionSpec

SPEC = SessionSpec()
CALL = {"tool_calls": [{"id": "c1", "type": "function", "function": {"name": "grep", "arguments": "{}"}}]}


def chat(*turns: Any, user: str = "mia", **more: Any) -> Prompt:
    """A prompt of (role, text) turns; a dict is taken as it is."""
    messages = [t if isinstance(t, dict) else {"role": t[0], "content": t[1]} for t in turns]
    return Prompt.from_chat({"model": "auto", "messages": messages, **more}, user=user, tenant="lab")


USER = ("user", "Refactor the parser and run its tests, please.")
DONE = ("assistant", "Done: the parser is now three functions.")
CALLS = {"role": "assistant", "content": None, **CALL}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "3 matches"}
LOOP = chat(USER, CALLS, RESULT)
FOLLOW_UP = chat(USER, DONE, ("user", "commit it"))


class TestWhen:
    @pytest.mark.parametrize(
        ("turns", "loop"),
        [
            ((USER,), False),
            ((USER, CALLS, RESULT), True),
            ((USER, CALLS), True),
            ((USER, CALLS, RESULT, RESULT), True),
            ((USER, CALLS, RESULT, ("user", "and hurry")), True),
            ((USER, CALLS, RESULT, DONE), False),
            ((USER, CALLS, RESULT, DONE, USER), False),
            ((RESULT,), True),
            ((), False),
        ],
    )
    def test_a_tool_loop_runs_until_the_assistant_has_answered(self, turns: tuple[Any, ...], loop: bool) -> None:
        assert tool_loop(chat(*turns)) is loop

    @pytest.mark.parametrize(
        ("turns", "spec", "why"),
        [
            ((USER, DONE, ("user", "commit it")), SPEC, "follow_up"),
            ((USER, DONE, ("user", "Now something else: what do you know about Burgundy?")), SPEC, None),
            ((USER, DONE, ("user", "commit it"), ("user", "please")), SPEC, "follow_up"),
            (("user", "commit it"), SPEC, None),
            ((USER, DONE, ("user", "commit it")), SessionSpec(follow_up_tokens=0), None),
            ((USER, DONE, ("user", "commit it")), SessionSpec(follow_up_tokens=2), None),
            ((USER, CALLS, RESULT), SPEC, "tool_loop"),
            ((USER, CALLS, RESULT), SessionSpec(tool_loops=False), None),
            ((USER, DONE), SPEC, None),
        ],
    )
    def test_what_stays(self, turns: Any, spec: SessionSpec, why: str | None) -> None:
        turns = (turns,) if isinstance(turns[0], str) else turns
        assert kept(chat(*turns), spec) == why

    def test_an_image_is_no_short_follow_up(self) -> None:
        image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}
        assert kept(chat(USER, DONE, image), SPEC) is None


class TestFingerprint:
    def test_the_next_request_holds_the_last_ones(self) -> None:
        asked = chat(USER)
        assert fingerprint_before(asked, "auto") is None
        for following in (FOLLOW_UP, LOOP, chat(USER, CALLS, RESULT, CALLS, RESULT)):
            assert fingerprint_before(following, "auto") == fingerprint(asked, "auto")
        assert fingerprint_before(chat(USER, DONE, USER, DONE, USER), "auto") == fingerprint(chat(USER, USER), "auto")

    def test_neither_system_prompt_nor_what_assistants_said_changes_it(self) -> None:
        other = chat(("system", "It is 9:41."), USER, ("assistant", "(cut)"), ("user", "commit it"))
        assert fingerprint_before(other, "auto") == fingerprint_before(FOLLOW_UP, "auto")

    def test_callers_policies_and_turns_do(self) -> None:
        mine = fingerprint(chat(USER), "auto")
        assert mine != fingerprint(chat(USER, user="ada"), "auto")
        assert mine != fingerprint(chat(USER), "cheap")
        assert fingerprint(chat(("user", "a"), ("user", "b")), "auto") != fingerprint(chat(("user", "ab")), "auto")


CODE = signal("code", {"type": "keyword", "any": ["parser"], "scope": "last"})
ROWS = (decision("code", "code", "coder", "spare"), decision("rest", None, "small", "coder"))
EXPERTS = (card("coder", "tools"), card("spare", "tools"), card("small"))


def rules(*decisions: Any, **more: Any) -> Any:
    return policy(*(decisions or ROWS), **{"signals": (CODE,), "experts": EXPERTS, **more})


class TestRoute:
    async def test_a_follow_up_stays_with_decision_and_expert(self) -> None:
        assert (await go(rules(), FOLLOW_UP)).decision == "rest", "by its own words it would bounce"
        route = await go(rules(), FOLLOW_UP, previous=Previous("spare", "code"))
        assert (route.decision, names(route), route.kept) == ("code", ["spare", "coder"], "follow_up")
        trace = route.trace()
        assert (trace["session"], trace["select"]) == ("follow_up", "session")
        assert trace["decisions"][0]["why"] == "it answered before: a short follow-up of its conversation"
        assert trace["experts"][0]["why"] == "it answered before: a short follow-up of its conversation"

    async def test_without_the_decision_it_is_the_first_that_may_use_the_expert(self) -> None:
        route = await go(rules(), FOLLOW_UP, previous=Previous("small"))
        assert (route.decision, names(route)) == ("rest", ["small", "coder"])

    async def test_a_new_question_is_routed_anew(self) -> None:
        asked = chat(USER, DONE, ("user", "Now something else: what do you know about Burgundy?"))
        route = await go(rules(), asked, previous=Previous("coder", "code"))
        assert (route.decision, route.kept) == ("rest", None)

    async def test_no_signal_is_computed_for_what_stays(self) -> None:
        script = Script(n1=Signal(True))
        made = policy(
            decision("one", "n1", "small"),
            decision("rest", None, "coder"),
            signals=(script.spec("n1", "neural"),),
            experts=EXPERTS,
            script=script,
        )
        assert (await go(made, LOOP, previous=Previous("coder", "rest"))).decision == "rest"
        assert script.computed == []

    async def test_constraints_hold_all_the_same(self) -> None:
        secret = signal("secret", {"type": "keyword", "any": ["matches"], "scope": "all"})
        guarded = rules(signals=(CODE, secret), constraints=(ConstraintSpec(when="secret", refuse="no"),))
        assert (await go(guarded, LOOP, previous=Previous("coder", "code"))).refuse == "no"

    async def test_an_expert_that_is_not_well_is_not_waited_for(self) -> None:
        route = await go(rules(), LOOP, previous=Previous("coder", "code"), ill={"coder": "down"})
        assert names(route) == ["spare", "coder"]

    async def test_in_a_tool_loop_an_estimate_of_length_moves_nobody(self) -> None:
        long = chat(("user", "word " * 700), CALLS, RESULT)
        small = (card("coder", "tools", context=800), card("spare", "tools"), card("small"))
        assert names(await go(rules(experts=small), long, previous=Previous("coder", "code"))) == ["coder", "spare"]

    async def test_a_decision_that_is_gone_is_no_error(self) -> None:
        assert (await go(rules(), FOLLOW_UP, previous=Previous("coder", "gone"))).decision == "rest"
        route = await go(rules(), FOLLOW_UP, previous=Previous("gone", "code"))
        assert names(route) == ["coder", "spare"], "an aggregator, say: its decision is kept"

    async def test_a_model_named_directly_has_no_session(self) -> None:
        route = await go(rules(), FOLLOW_UP, previous=Previous("coder", "code"), only="small")
        assert (route.decision, names(route), route.kept) == ("direct", ["small"], None)


class TestUnless:
    WRONG = signal("wrong", {"type": "keyword", "any": ["wrong"], "scope": "last"})
    SESSION = SessionSpec(unless="wrong")

    async def test_a_follow_up_is_set_free_a_tool_loop_is_not(self) -> None:
        made = rules(signals=(CODE, self.WRONG), session=self.SESSION)
        before = Previous("coder", "code")
        assert (await go(made, FOLLOW_UP, previous=before)).decision == "code"
        assert (await go(made, chat(USER, DONE, ("user", "wrong")), previous=before)).decision == "rest"
        loop = chat(USER, CALLS, RESULT, ("user", "wrong"))
        assert (await go(made, loop, previous=before)).decision == "code"

    @pytest.mark.parametrize("wrong", [True, False])
    async def test_a_neural_one_is_computed_with_those_of_constraints(self, wrong: bool) -> None:
        script = Script(n1=Signal(wrong), n2=Signal(False))
        made = policy(
            *ROWS,
            signals=(CODE, script.spec("n1", "neural"), script.spec("n2", "neural")),
            constraints=(ConstraintSpec(when="n2", refuse="no"),),
            experts=EXPERTS,
            script=script,
            session=SessionSpec(unless="n1"),
        )
        route = await go(made, FOLLOW_UP, previous=Previous("coder", "code"))
        assert route.decision == ("rest" if wrong else "code")
        assert (sorted(script.computed), script.most_running) == (["n1", "n2"], 2)

    def test_an_unknown_signal_is_named(self) -> None:
        with pytest.raises(ConfigError, match="unknown signal 'worng'") as caught:
            rules(session=SessionSpec(unless="worng"))
        assert caught.value.key == "session.unless"
