"""Signals made of other signals: what they are worth, and that they cost no more than they need."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies import Script, decision, go, policy, prompt, signal

from experts import registry
from experts.errors import ConfigError, ExpertError
from orchestrator.config import parse_config
from router.kleene import compile_rule
from router.rules import parse
from router.signals import Signal
from router.spec import ConstraintSpec, OnError
from router.tools import Tools

YES, NO = Signal(True), Signal(False)


def derive(kind: str, known: Mapping[str, Signal], **params: Any) -> Any:
    file = registry.load("router.signals", kind)
    return file.build(file.Params.model_validate(params), Tools())(known.get)


class TestScore:
    KNOWN = {
        "code": Signal(True, confidence=0.5),
        "topic": Signal(True, label="law", confidence=0.8),
        "long": NO,
        "tokens": Signal(False, value=2000),
    }

    @pytest.mark.parametrize(
        ("terms", "value"),
        [
            ([{"when": "code", "weight": 0.2}], 0.2),
            ([{"when": "code", "weight": 0.2, "by": "confidence"}], 0.1),
            ([{"when": "topic == 'law'", "weight": 0.5, "by": "confidence"}], 0.4),
            ([{"when": "topic == 'art'", "weight": 0.5, "by": "confidence"}], 0.0),
            ([{"when": "not long and code", "weight": -0.3}], -0.3),
            ([{"value": "tokens", "weight": 0.001}], 2.0),
            ([{"value": "topic", "weight": 1}], 0.0),
            ([{"when": "code", "weight": 0.1}, {"when": "topic", "weight": 0.2}], 0.3),
        ],
    )
    def test_terms_add_up(self, terms: list[dict[str, Any]], value: float) -> None:
        assert derive("score", self.KNOWN, terms=terms).value == value

    def test_bounds_and_confidence(self) -> None:
        terms = [{"when": "code", "weight": 0.1}, {"when": "topic", "weight": 0.2}]
        assert derive("score", self.KNOWN, terms=terms, gte=0.3) == Signal(True, value=0.3, confidence=0.3)
        assert not derive("score", self.KNOWN, terms=terms, gt=0.3).matched
        assert derive("score", self.KNOWN, terms=[{"value": "tokens"}], gt=0).confidence == 1.0
        assert not derive("score", self.KNOWN, terms=[{"when": "long"}]).matched, "nothing is not above zero"

    @pytest.mark.parametrize("term", [{}, {"when": "a", "value": "b"}, {"value": "a", "by": "confidence"}])
    def test_a_term_is_one_thing(self, term: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"a term needs|by goes with"):
            derive("score", {}, terms=[term])


class TestBand:
    BANDS = [{"name": "easy", "lt": 0.2}, {"name": "medium", "gte": 0.2, "lt": 0.5}, {"name": "hard", "gte": 0.5}]

    @pytest.mark.parametrize(("number", "label"), [(0.1999, "easy"), (0.2, "medium"), (0.5, "hard"), (-9, "easy")])
    def test_the_first_band_that_holds(self, number: float, label: str) -> None:
        found = derive("band", {"score": Signal(False, value=number)}, of="score", bands=self.BANDS)
        assert (found.matched, found.label, found.value) == (True, label, number)

    def test_the_confidence_grows_with_the_distance_from_a_bound(self) -> None:
        def sure(number: float) -> float:
            made = derive("band", {"score": Signal(False, value=number)}, of="score", bands=self.BANDS, slope=10)
            return float(made.confidence)

        assert sure(0.2) == 0.5
        assert sure(0.35) == pytest.approx(0.8175744761936437), "1 / (1 + e^(-10 * 0.15))"
        assert sure(9e9) == 1.0

    def test_no_band_or_no_number_is_no_match(self) -> None:
        bands = [{"name": "hard", "gte": 0.5}]
        assert derive("band", {"s": Signal(True, value=0.1)}, of="s", bands=bands) == Signal(False, 0.1, confidence=0)
        assert not derive("band", {"s": Signal(True, value="x")}, of="s", bands=bands).matched

    def test_impossible_bands_are_refused(self) -> None:
        with pytest.raises(ValueError, match="begins at 2 and ends at 1"):
            derive("band", {}, of="s", bands=[{"name": "x", "gte": 2, "lt": 1}])
        with pytest.raises(ValueError, match="two bands are named 'x'"):
            derive("band", {}, of="s", bands=[{"name": "x"}, {"name": "x"}])


class TestPartition:
    def test_the_surest_that_matches_wins(self) -> None:
        known = {
            "a": Signal(True, confidence=0.6),
            "b": Signal(True, confidence=0.8),
            "c": Signal(False, confidence=0.9),
        }
        exclusive = derive("partition", known, of=["a", "b", "c"])
        assert exclusive == Signal(True, value=0.8, label="b", confidence=0.8, count=2)
        soft = derive("partition", known, of=["a", "b", "c"], temperature=0.1)
        assert soft.confidence == pytest.approx(0.8807970779778823), "e^8 / (e^6 + e^8)"

    def test_alone_it_keeps_its_confidence_and_nobody_means_the_default(self) -> None:
        known = {"a": Signal(True, confidence=0.6), "b": Signal(False, confidence=0.9)}
        assert derive("partition", known, of=["a", "b"], temperature=0.1).confidence == 0.6
        nobody = {"a": NO, "b": NO}
        assert derive("partition", nobody, of=["a", "b"]).matched is False
        assert derive("partition", nobody, of=["a", "b"], default="b") == Signal(True, label="b", count=0)

    def test_by_value(self) -> None:
        known = {"a": Signal(True, value=3), "b": Signal(True, value=7)}
        assert derive("partition", known, of=["a", "b"], by="value").label == "b"

    @pytest.mark.parametrize("params", [{"of": ["a"]}, {"of": ["a", "a"]}, {"of": ["a", "b"], "default": "c"}])
    def test_useless_parameters_are_refused(self, params: dict[str, Any]) -> None:
        with pytest.raises(ValueError):
            derive("partition", {}, **params)


class TestCompiled:
    def test_a_circle_is_named(self) -> None:
        made = (
            signal("a", {"type": "score", "terms": [{"when": "b"}]}),
            signal("b", {"type": "partition", "of": ["c", "x"]}),
            signal("c", {"type": "band", "of": "a", "bands": [{"name": "all"}]}),
            signal("x", {"type": "keyword", "any": ["x"]}),
        )
        with pytest.raises(ConfigError, match=r"made of itself: a → b → c → a") as caught:
            policy(decision("rest", None, "a"), signals=made)
        assert caught.value.key == "signals.a"

    @pytest.mark.parametrize(
        ("row", "place"),
        [
            ({"type": "score", "terms": [{"when": "code"}, {"when": "cod"}]}, "signals.s.terms.1.when"),
            ({"type": "score", "terms": [{"value": "cod"}]}, "signals.s.terms.0.value"),
            ({"type": "band", "of": "cod", "bands": [{"name": "x"}]}, "signals.s.of"),
            ({"type": "partition", "of": ["code", "cod"]}, "signals.s.of.1"),
        ],
    )
    def test_an_unknown_name_is_told_with_its_place(self, row: dict[str, Any], place: str) -> None:
        code = signal("code", {"type": "keyword", "any": ["x"]})
        with pytest.raises(ConfigError, match=r"(?s)unknown signal 'cod'.*Did you mean code\?") as caught:
            policy(decision("rest", None, "a"), signals=(code, signal("s", row)))
        assert caught.value.key == place

    def test_in_a_file_the_place_is_line_and_column(self) -> None:
        text = """\
signals:
  code: {type: keyword, any: [x]}
  pressure:
    type: score
    terms:
      - {when: code}
      - {when: code and cod}
decisions: [{use: general}]
"""
        with pytest.raises(ConfigError, match=r"m\.yaml:7:\d+.*unknown signal 'cod'"):
            parse_config(text, "m.yaml")

    def test_what_a_guard_is_made_of_fails_rather_than_misses(self) -> None:
        config = parse_config(
            """\
signals:
  words: {type: keyword, any: [x]}
  other: {type: keyword, any: [y]}
  risk: {type: score, terms: [{when: words}]}
  level: {type: band, of: risk, bands: [{name: high, gte: 1}]}
constraints: [{when: level == 'high', refuse: no}]
decisions: [{use: general}]
""",
            "m.yaml",
        )
        on_error = {spec.name: spec.on_error for spec in config.policies["auto"].signals}
        assert on_error == {"words": "fail", "other": "no_match", "risk": "fail", "level": "fail"}


def scripted(script: Script, derived: Mapping[str, Mapping[str, Any]], *decisions: Any, **more: Any) -> Any:
    """A policy over the script's signals (neural if their name begins with n) and derived ones."""
    plain = tuple(script.spec(name, "neural" if name.startswith("n") else "cheap") for name in script.found)
    made = tuple(signal(name, row) for name, row in derived.items())
    return policy(*decisions, signals=(*made, *plain), script=script, **more)


class TestLazy:
    async def test_made_of_cheap_signals_it_is_cheap(self) -> None:
        script = Script(c1=YES, c2=YES)
        rules = scripted(
            script,
            {"d": {"type": "score", "terms": [{"when": "c1", "weight": 0.3}], "gte": 0.3}},
            decision("one", "d", "a"),
            decision("rest", None, "a"),
        )
        kwargs: Any = {"healthy": lambda name: None, "random": lambda: 0.0, "clock": lambda: 0.0}
        route = rules.route_now(prompt(), **kwargs)
        assert route is not None and route.decision == "one"
        assert script.computed == ["c1"]

    async def test_only_what_it_still_needs_is_computed_and_all_at_once(self) -> None:
        script = Script(c1=NO, n1=YES, n2=YES, n3=YES)
        derived = {
            "level": {"type": "band", "of": "sum", "bands": [{"name": "high", "gte": 1}]},
            "sum": {"type": "score", "terms": [{"when": "c1 and n1"}, {"when": "n2"}, {"when": "n3 or not c1"}]},
        }
        rules = scripted(script, derived, decision("one", "level == 'high'", "a"), decision("rest", None, "a"))
        route = await go(rules)
        assert route.decision == "one"
        assert script.computed == ["c1", "n2"], "n1 cannot hold with c1 false, and n3 cannot change its term"
        trace = route.trace()["signals"]
        assert trace["sum"]["value"] == 2
        assert trace["level"]["label"] == "high"

    async def test_a_derived_signal_that_cannot_matter_costs_nothing(self) -> None:
        script = Script(c1=NO, n1=YES)
        derived = {"d": {"type": "score", "terms": [{"when": "n1"}]}}
        rules = scripted(script, derived, decision("one", "d and c1", "a"), decision("rest", None, "a"))
        assert (await go(rules)).decision == "rest"
        assert script.computed == ["c1"]

    @pytest.mark.parametrize(("on_error", "decides"), [("match", "one"), ("no_match", "rest")])
    async def test_a_part_that_fails_stands_for_what_its_on_error_says(self, on_error: OnError, decides: str) -> None:
        script = Script(n1=ValueError("scripted"))
        made = signal("d", {"type": "score", "terms": [{"when": "n1"}]})
        rules = policy(
            decision("one", "d", "a"),
            decision("rest", None, "a"),
            signals=(made, script.spec("n1", "neural", on_error)),
            script=script,
        )
        assert (await go(rules)).decision == decides

    async def test_a_part_that_must_not_fail_ends_the_request_whatever_is_made_of_it(self) -> None:
        script = Script(c1=ValueError("scripted"))
        made = signal("d", {"type": "score", "terms": [{"when": "c1"}]}, "no_match")
        rules = policy(
            decision("one", "d", "a"),
            decision("rest", None, "a"),
            signals=(made, script.spec("c1", "cheap", "fail")),
            script=script,
        )
        with pytest.raises(ExpertError, match="'c1' could not be computed"):
            await go(rules)


LEAVES = ("c1", "c2", "n1", "n2", "n3")
MADE = ("d1", "d2", "d3")


def expressions(names: tuple[str, ...]) -> st.SearchStrategy[str]:
    return st.recursive(
        st.sampled_from(
            [*names, *(f"{name} == 'x'" for name in names), *(f"{name}.confidence > 0.4" for name in names)]
        ),
        lambda inner: st.one_of(
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + " and ".join(parts) + ")"),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + " or ".join(parts) + ")"),
            inner.map(lambda part: f"not ({part})"),
        ),
        max_leaves=4,
    )


def rows(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """A derived signal over `names`."""
    weights = st.sampled_from([-1.0, 0.25, 0.5, 1.0])
    terms = st.one_of(
        st.fixed_dictionaries(
            {"when": expressions(names), "weight": weights, "by": st.sampled_from(["matched", "confidence"])}
        ),
        st.fixed_dictionaries({"value": st.sampled_from(names), "weight": weights}),
    )
    return st.one_of(
        st.fixed_dictionaries({"type": st.just("score"), "terms": st.lists(terms, min_size=1, max_size=3)}),
        st.fixed_dictionaries(
            {
                "type": st.just("band"),
                "of": st.sampled_from(names),
                "bands": st.just([{"name": "x", "gte": 0.3}, {"name": "y"}]),
            }
        ),
        st.fixed_dictionaries(
            {
                "type": st.just("partition"),
                "of": st.lists(st.sampled_from(names), min_size=2, max_size=3, unique=True),
                "temperature": st.sampled_from([None, 0.5]),
            }
        ),
    )


found = st.builds(
    Signal,
    st.booleans(),
    value=st.sampled_from([None, 0.0, 0.5, 2.0]),
    label=st.sampled_from(["x", "y", None]),
    confidence=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)


@given(data=st.data())
async def test_lazy_and_eager_evaluation_agree_also_where_signals_are_made_of_signals(data: st.DataObject) -> None:
    leaves = data.draw(st.fixed_dictionaries(dict.fromkeys(LEAVES, found)))
    derived = {name: data.draw(rows((*LEAVES, *MADE[:i]))) for i, name in enumerate(MADE)}
    written = data.draw(st.lists(expressions((*LEAVES, *MADE)), min_size=1, max_size=4))
    guard = data.draw(expressions((*LEAVES, *MADE)))
    # Eager: everything computed, in the order in which it is made.
    known: dict[str, Signal] = dict(leaves)
    for name, row in derived.items():
        kind, params = row["type"], {key: value for key, value in row.items() if key != "type"}
        known[name] = derive(kind, known, **params)
        assert isinstance(known[name], Signal)
    expected = next((f"e{i}" for i, when in enumerate(written) if compile_rule(parse(when))(known.get)), "rest")
    if compile_rule(parse(guard))(known.get):
        expected = "refused"
    script = Script(**leaves)
    rules = scripted(
        script,
        derived,
        *(decision(f"e{i}", when, "a") for i, when in enumerate(written)),
        decision("rest", None, "a"),
        constraints=(ConstraintSpec(when=guard, refuse="no"),),
    )
    route = await go(rules)
    assert route.decision == expected
    assert len(script.computed) == len(set(script.computed)), "nothing twice"
    for name, signal_found in route.signals.items():
        assert signal_found == known[name], f"{name}: the same however late it was computed"
    assert isinstance(route.trace(), dict)
