"""The shape of conversations, roles, events, and keywords by stem and by shared letters."""

from typing import Any

import pytest
from pydantic import ValidationError

from experts import registry
from router.lexical import BM25, NGrams, pieces, runs, stems
from router.prompt import Prompt
from router.signals import Signal
from router.tools import Tools


def build(kind: str, **params: Any) -> Any:
    file = registry.load("router.signals", kind)
    return file.build(file.Params.model_validate(params), Tools())


def ask(kind: str, text: str, **params: Any) -> Signal:
    prompt = Prompt.from_chat(
        {"messages": [{"role": "user", "content": text}]}, user="mia", tenant="lab", roles=("reader", "admin")
    )
    found: Signal = build(kind, **params)(prompt)
    return found


class TestStemsAndLetters:
    def test_stems_leave_stop_words_out_and_know_other_scripts(self) -> None:
        assert stems("Deploying the services") == stems("the deployed service") == ["deploy", "servic"]
        assert stems("你好 world") == ["你", "好", "world"]
        assert stems("Don't do it") == []

    def test_bm25_is_the_formula(self) -> None:
        scores = BM25(["code", "deploy code", "music"]).scores(stems("deploying code"))
        # N = 3, "code" in 2 of them, lengths 1, 2, 1, mean 4/3, k1 = 1.2, b = 0.75
        assert scores == pytest.approx(
            {
                "code": 0.4700036292457356 * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 0.75)),
                "deploy code": (0.4700036292457356 + 0.9808292530117262) * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 1.5)),
            }
        )

    def test_ngram_similarity_is_the_formula(self) -> None:
        words = pieces("tomacco")
        near = NGrams(["tomato"], arity=2, threshold=0.1).similar(runs(words, [1]))
        # padded pairs: tomato has 7, tomacco 8; shared: " t", "to", "om", "ma", "o "; so 5 of 10 distinct
        assert near == {"tomato": pytest.approx(1 - (1 - 5 / 10) ** 2)}
        assert NGrams(["tomato"], threshold=0.9).similar(runs(words, [1])) == {}


class TestKeyword:
    def test_bm25_finds_other_forms_of_a_word(self) -> None:
        deploy = {"bm25": ["deployment", "rollback plan"]}
        assert ask("keyword", "How do I deploy this?", **deploy) == Signal(True, ("deployment",), count=1)
        assert ask("keyword", "we planned for rolling back", **deploy).value == ("rollback plan",)
        assert not ask("keyword", "an employment contract", **deploy).matched
        assert not ask("keyword", "deploy", bm25=["deployment"], bm25_threshold=5).matched

    def test_ngrams_forgive_more_than_typing_errors(self) -> None:
        found = ask("keyword", "kuberntes pods crash", ngram=["kubernetes"])
        assert (found.matched, found.value) == (True, ("kubernetes",))
        assert 0.4 < found.confidence < 1
        assert ask("keyword", "Kubernetes", ngram=["kubernetes"]).confidence == 1
        assert not ask("keyword", "the cyber crime", ngram=["kubernetes"]).matched
        assert not ask("keyword", "kuberntes", ngram=["kubernetes"], ngram_threshold=0.95).matched
        assert ask("keyword", "in the last ressort", ngram=["last resort"]).matched, "phrases too"
        assert not ask("keyword", "RUST", ngram=["rust"], case_sensitive=True).matched

    def test_a_keyword_of_stop_words_only_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="bm25 cannot find 'to be'"):
            build("keyword", bm25=["to be"])


CALL = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "a"}}, {"function": {"name": "b"}}]}
IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}, {"type": "text"}]}
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "developer", "content": "And kind."},
    {"role": "user", "content": "first"},
    {"role": "user", "content": "and more"},
    {"role": "assistant", "content": "ok"},
    IMAGE,
    CALL,
    {"role": "tool", "content": "1"},
    {"role": "tool", "content": "2"},
]


class TestConversation:
    @pytest.mark.parametrize(
        ("of", "number"),
        [
            ("messages", 9),
            ("user", 3),
            ("assistant", 2),
            ("system", 1),
            ("developer", 1),
            ("tool", 2),
            ("non_user", 6),
            ("turns", 2),
            ("tools", 1),
            ("tool_calls", 2),
            ("tool_results", 2),
            ("tool_loop", 1),
            ("images", 1),
            ("audio", 0),
        ],
    )
    def test_counts(self, of: str, number: int) -> None:
        prompt = Prompt.from_chat({"messages": TALK, "tools": [{"type": "function", "function": {"name": "a"}}]})
        assert build("conversation", of=of)(prompt) == Signal(number > 0, value=number, count=number)
        assert build("conversation", of=of, gte=number, lte=number)(prompt).matched
        assert not build("conversation", of=of, gt=number)(prompt).matched
        assert build("conversation", of=of, lt=number + 1)(prompt).matched

    def test_none_can_be_asked_for(self) -> None:
        assert build("conversation", of="images", lte=0)(Prompt.from_chat({"messages": []})).matched


class TestRole:
    @pytest.mark.parametrize(
        ("params", "value"),
        [
            ({"roles": ["staff", "admin"]}, ("admin",)),
            ({"users": ["ada", "mia"]}, ("mia",)),
            ({"tenants": ["shop"], "roles": ["reader"]}, ("reader",)),
            ({"tenants": ["shop"], "roles": ["reader"], "match": "all"}, ()),
            ({"tenants": ["lab"], "roles": ["reader"], "match": "all"}, ("reader", "lab")),
            ({"roles": ["Admin"]}, ()),
        ],
    )
    def test_lists(self, params: dict[str, Any], value: tuple[str, ...]) -> None:
        found = ask("role", "I am the owner, trust me", **params)
        assert found == Signal(bool(value), value=value, label=value[0] if value else None, count=len(value))

    def test_what_the_request_says_of_itself_does_not_count(self) -> None:
        body = {"messages": [{"role": "user", "content": "hi"}], "metadata": {"role": "admin"}, "user": "root"}
        prompt = Prompt.from_chat(body, headers={"x-user-role": "admin", "x-authz-user-id": "root"})
        assert not build("role", roles=["admin"], users=["root"])(prompt).matched

    @pytest.mark.parametrize("params", [{}, {"roles": [""]}, {"users": [" "]}])
    def test_useless_lists_are_refused(self, params: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            build("role", **params)


class TestEvent:
    PARAMS = {
        "types": ["payment_failed", "transaction_declined"],
        "severities": ["high", "critical"],
        "codes": ["TXN_DECLINE"],
        "urgent": True,
    }

    @pytest.mark.parametrize(
        ("text", "found", "label", "confidence"),
        [
            ('{"event": "payment_failed", "id": 7}', ("payment_failed",), None, 0.625),
            ('{"event":"payment_failed","severity":"CRITICAL"}', ("payment_failed", "critical"), "critical", 0.75),
            (
                "asap: payment_failed, high, then critical, TXN_DECLINE",
                ("payment_failed", "high", "critical", "TXN_DECLINE", "asap"),
                "critical",
                1.0,
            ),
            ("time-sensitive", ("time-sensitive",), None, 0.625),
        ],
    )
    def test_one_criterion_is_enough_and_more_are_surer(
        self, text: str, found: tuple[str, ...], label: str | None, confidence: float
    ) -> None:
        signal = ask("event", text, **self.PARAMS)
        assert signal == Signal(True, value=found, label=label, confidence=confidence, count=len(found))

    def test_nothing_found(self) -> None:
        assert ask("event", "My payment went through; thank you, I know.", **self.PARAMS) == Signal(
            False, value=(), confidence=0.0, count=0
        )
        assert ask("event", "a high tower", severities=["high"]).confidence == 1.0, "all criteria there are"
        with pytest.raises(ValidationError, match="at least one of types"):
            build("event")
