"""Each signal, on prompts it is for and prompts it is not for."""

from typing import Any

import pytest
from pydantic import ValidationError

from experts import registry
from experts.errors import ConfigError
from router.prompt import Prompt
from router.signals import Signal
from router.tools import Tools


def ask(kind: str, content: Any, /, *, request: dict[str, Any] | None = None, **params: Any) -> Signal:
    """The signal of a text (one user turn) or of a list of (role, text) turns."""
    turns = [("user", content)] if isinstance(content, str) else content
    prompt = Prompt.from_chat(
        {"model": "auto", "messages": [{"role": role, "content": text} for role, text in turns], **(request or {})},
        headers={"X-Team": "Blue"},
        user="mia",
        tenant="lab",
        roles=("reader", "admin"),
    )
    return build(kind, **params)(prompt)


def build(kind: str, **params: Any) -> Any:
    file = registry.load("router.signals", kind)
    return file.build(file.Params.model_validate(params), Tools())


class TestKeyword:
    def test_any_all_none(self) -> None:
        assert ask("keyword", "some SQL and Python", any=["python", "sql", "rust"]) == Signal(
            True, ("sql", "python"), count=2
        )
        assert ask("keyword", "nothing", any=["python"]) == Signal(False, (), count=0)
        assert ask("keyword", "sql and python", all=["python", "sql"]).matched
        assert not ask("keyword", "only sql", all=["python", "sql"]).matched
        assert not ask("keyword", "python, the snake", any=["python"], none=["snake"]).matched
        assert ask("keyword", "hello", none=["snake"]).matched
        assert not ask("keyword", "python", any=["rust"], all=["python"]).matched, "any is still asked for"
        assert ask("keyword", "sql server", all=["sql", "sql server"]).matched, "overlapping phrases"

    def test_the_value_is_the_policys_words_never_the_requests(self) -> None:
        secret = ask("keyword", "my card is 4111 1111 1111 1111", regex=[r"\d{4} \d{4} \d{4} \d{4}"])
        assert secret == Signal(True, (r"\d{4} \d{4} \d{4} \d{4}",), count=1)
        assert ask("keyword", "PYTHON", any=["Python"]).value == ("Python",)

    def test_typing_errors_are_forgiven_up_to_the_threshold(self) -> None:
        found = ask("keyword", "please trasnlate this", fuzzy=["translate"])
        assert (found.matched, found.value) == (True, ("translate",))
        assert found.confidence == pytest.approx(1 - 1 / 9), "one swap in nine letters"
        assert not ask("keyword", "please transcribe", fuzzy=["translate"]).matched
        assert not ask("keyword", "trasnlate", fuzzy=["translate"], threshold=0.95).matched
        assert ask("keyword", "in the lsat resort", fuzzy=["last resort"]).matched, "phrases too"
        assert ask("keyword", "Translate", fuzzy=["translate"], any=["x"]).confidence == 1.0

    def test_capitals(self) -> None:
        assert not ask("keyword", "rust on iron", any=["Rust"], regex=["IRON"], case_sensitive=True).matched
        assert ask("keyword", "rust on iron", regex=["IRON"]).matched

    @pytest.mark.parametrize(
        "params", [{}, {"any": [" "]}, {"any": ["a"], "regex": ["(?=x)"]}, {"fuzzy": ["a"], "threshold": 0}]
    )
    def test_useless_parameters_are_refused(self, params: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            build("keyword", **params)

    def test_an_unavailable_pattern_says_why(self) -> None:
        with pytest.raises(ValidationError, match="look-around, backreferences"):
            build("keyword", regex=[r"(\w+) \1"])


class TestScope:
    TURNS = (
        ("system", "You know Rust."),
        ("user", "Write a Python parser."),
        ("assistant", "Here is some SQL."),
        ("user", "commit it"),
    )

    @pytest.mark.parametrize(
        ("scope", "found"),
        [
            ("user", ("python",)),
            ("last", ()),
            ("system", ("rust",)),
            ("conversation", ("python", "sql")),
            ("all", ("rust", "python", "sql")),
        ],
    )
    def test_each_scope_reads_its_turns(self, scope: str, found: tuple[str, ...]) -> None:
        assert ask("keyword", self.TURNS, any=["python", "sql", "rust"], scope=scope).value == found

    def test_by_default_the_conversation_counts_not_its_last_line(self) -> None:
        assert ask("keyword", self.TURNS, any=["python"]).matched
        assert (
            ask("language", [("user", "Wie hoch ist die Zugspitze, und wie komme ich hinauf?"), ("user", "ok")]).label
            == "de"
        )


class TestContext:
    def test_bands(self) -> None:
        signal = ask("context", "word " * 1000, min_tokens=1000, max_tokens=2000)
        assert signal.matched
        assert signal.value == signal.count == pytest.approx(1400, rel=0.01)
        assert not ask("context", "word", min_tokens=1000).matched
        assert ask("context", "word", max_tokens=1000).matched

    def test_the_answer_counts_if_asked(self) -> None:
        assert not ask("context", "hi", min_tokens=500, request={"max_tokens": 600}).matched
        assert ask("context", "hi", min_tokens=500, request={"max_tokens": 600}, answer=True).matched
        assert not ask("context", "hi", min_tokens=500, answer=True).matched

    @pytest.mark.parametrize("params", [{}, {"min_tokens": 5, "max_tokens": 4}, {"min_tokens": -1}])
    def test_useless_parameters_are_refused(self, params: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            build("context", **params)


class TestStructure:
    @pytest.mark.parametrize(
        ("of", "text", "value"),
        [
            ("bytes", "aé", 3),
            ("characters", "aé", 2),
            ("words", "three little words", 3),
            ("words", "hi 今天天气 x", 6),
            ("lines", "a\nb\nc", 3),
            ("lines", "", 0),
            ("questions", "What? Why?! 为什么？是吗？ see http://x.y/?q=1", 4),
            ("code_fences", "```py\nx\n```\ntext\n```", 2),
            ("list_items", "- a\n  * b\n1. c\nd - e", 3),
            ("urls", "http://a.b and https://c.d/e?f", 2),
            ("numbers", "3 apples, 4.5 pears and 1,000 nuts", 3),
        ],
    )
    def test_units(self, of: str, text: str, value: int) -> None:
        assert ask("structure", text, of=of, gte=0) == Signal(True, value, count=value)

    def test_bounds(self) -> None:
        assert ask("structure", "a? b? c?", of="questions").matched
        assert not ask("structure", "a.", of="questions").matched
        assert ask("structure", "one two", of="words", gte=2, lt=3).matched
        assert not ask("structure", "one two", of="words", gt=2).matched
        assert not ask("structure", "one two", of="words", lte=1).matched

    def test_density_is_per_word(self) -> None:
        words = {"words": ["must", "at least"], "measure": "density"}
        assert ask("structure", "It must be at least ten.", **words, gt=0.3).value == pytest.approx(2 / 6)
        assert ask("structure", "", **words).value == 0
        assert ask("structure", "aXbX", regex="x", measure="density", per="characters").value == 0.5

    def test_sequences_are_in_order(self) -> None:
        sequences = {"sequences": [["first", "then"], ["先", "再"]]}
        assert ask("structure", "First then", **sequences).matched
        assert ask("structure", "first do this, and then that", **sequences).matched
        assert not ask("structure", "then first", **sequences).matched
        assert not ask("structure", "firstly and then", **sequences).matched
        assert ask("structure", "先做这个，再做那个", **sequences).matched

    def test_exists(self) -> None:
        assert ask("structure", "1 2 3", regex=r"\d", measure="exists").value == 1

    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"of": "words", "regex": "x"},
            {"of": "cats"},
            {"of": "words", "measure": "sequence"},
            {"sequences": [["alone"]]},
            {"sequences": [["a", "b"]], "measure": "count"},
            {"regex": "x", "gte": 5000},  # occurrences are counted up to 1,000
            {"regex": "(?=x)"},
        ],
    )
    def test_useless_parameters_are_refused(self, params: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            build("structure", **params)


class TestLanguage:
    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("What is the capital of France?", "en"),
            ("Wie hoch ist die Zugspitze?", "de"),
            ("¿Cuál es la capital de Francia?", "es"),
            ("Какой самый высокий дом в городе?", "ru"),
            ("今天天气怎么样，我们去哪里吃饭？", "zh"),
            ("明日の天気はどうですか。", "ja"),
        ],
    )
    def test_labels(self, text: str, code: str) -> None:
        signal = ask("language", text, **{"in": [code, "fi"]})
        assert (signal.matched, signal.label) == (True, code)
        assert 0.3 < signal.confidence <= 1
        other = ask("language", text, **{"in": ["fi"]})
        assert (other.matched, other.label) == (False, code), "the label is told also where it is not asked for"

    def test_what_is_too_short_to_tell_has_no_label(self) -> None:
        for text in ("", "x", "12345"):
            assert ask("language", text).label is None
            assert not ask("language", text).matched

    @pytest.mark.parametrize("odd", ["\n", "\r\n\x00\u2028", "\ud800 "])
    def test_any_text_can_be_read(self, odd: str) -> None:
        text = f"Wie hoch ist die Zugspitze?{odd}Und wie komme ich am besten hinauf?"
        assert ask("language", text).label == "de"

    def test_an_unknown_code_names_the_known_ones(self) -> None:
        with pytest.raises(ConfigError, match="no such language: 'english'") as caught:
            build("language", **{"in": ["english"]})
        assert " en, " in str(caught.value)


class TestMetadata:
    @pytest.mark.parametrize(
        ("params", "matched", "value"),
        [
            ({"of": "user", "equals": "mia"}, True, "mia"),
            ({"of": "tenant", "in": ["lab", "shop"]}, True, "lab"),
            ({"of": "roles", "equals": "admin"}, True, ("reader", "admin")),
            ({"of": "roles", "in": ["owner"]}, False, ("reader", "admin")),
            ({"of": "model", "regex": "^au"}, True, "auto"),
            ({"header": "x-TEAM", "equals": "Blue"}, True, "Blue"),
            ({"header": "x-team", "equals": "blue"}, False, "Blue"),
            ({"header": "x-team", "equals": "blue", "case_sensitive": False}, True, "Blue"),
            ({"header": "x-none"}, False, None),
            ({"header": "x-none", "exists": False}, True, None),
            ({"header": "authorization"}, False, None),
            ({"metadata": "plan", "equals": "pro"}, True, "pro"),
            ({"metadata": "paid", "equals": True}, True, True),
            ({"metadata": "paid", "equals": 1}, False, True),
            ({"metadata": "tags", "equals": "b"}, True, ("a", "b")),
            ({"metadata": "nested"}, False, None),
        ],
    )
    def test_sources_and_tests(self, params: dict[str, Any], matched: bool, value: Any) -> None:
        request = {"metadata": {"plan": "pro", "paid": True, "tags": ["a", "b"], "nested": {"a": 1}}}
        signal = ask("metadata", "hi", request=request, **params)
        assert (signal.matched, signal.value) == (matched, value)

    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"of": "user", "header": "x"},
            {"of": "user", "equals": "a", "regex": "b"},
            {"of": "password"},
            {"header": "x", "regex": "("},
        ],
    )
    def test_useless_parameters_are_refused(self, params: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            build("metadata", **params)
