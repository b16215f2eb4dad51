"""Each strategy does what its name says: with experts of known accuracy its own is the one that probability says.

Experts are independent draws: right with a known probability, else one of a few wrong values. What must come out is worked
out by closed form, or by going through every outcome with a second implementation of the rule; what comes out of some
thousand questions must lie within the binomial interval (3.3 standard deviations, one in a thousand by chance; seeded).
The plans' steps are walked without LangGraph here, to be quick; that LangGraph walks the same way is a test of its own.
"""

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pytest

from experts import registry
from experts.call import Call
from tests.deliberating import Scripted, job, said, walked

N = 2000
RIGHT, WRONG = "42", ("100", "101", "102", "103")


@dataclass
class Exam:
    """Many questions put to one strategy: how many were answered rightly, every answer, and the calls by role."""

    right: int = 0
    texts: list[str] = field(default_factory=list)
    roles: Counter[str] = field(default_factory=Counter)
    n: int = 0

    @property
    def accuracy(self) -> float:
        return self.right / self.n


async def exam(
    name: str,
    reply: Callable[[str, str, str], str],
    *,
    n: int = N,
    ranked: Sequence[str] = ("a",),
    scores: Mapping[str, float] | None = None,
    logprobs: Callable[[str, str], Any] = lambda expert, text: None,
    more: Mapping[str, Any] | None = None,
    walk: bool = True,
    **params: Any,
) -> Exam:
    """Ask `n` times. `reply` gets the expert, the call's role and the last message it is shown; `more` are fields of
    `Job`. Without `walk` it is LangGraph that runs the plan."""
    attempts = Scripted(lambda expert, call: "", logprobs=logprobs)

    def answer(expert: str, call: Call) -> str:
        return reply(expert, attempts.calls[-1][1], str(call.body["messages"][-1]["content"]))

    attempts.reply = answer
    module = registry.load("orchestrator.strategies", name)
    chosen, found = module.Params(**params), Exam(n=n)
    for _ in range(n):
        attempts.made.clear()
        attempts.calls.clear()
        work = job(answer, ranked, attempts=attempts, scores=scores or {}, **(more or {}))
        text = await said(await (walked(module.PLAN, work, chosen) if walk else module.run(work, chosen)))
        found.texts.append(text)
        found.right += f"is {RIGHT}." in text
        found.roles.update(role for _, role, _ in attempts.calls)
    return found


def within(observed: float, expected: float, n: int = N) -> bool:
    """Whether a share of `n` is what `expected` gives in all but one of a thousand cases."""
    return abs(observed - expected) <= 3.3 * math.sqrt(expected * (1 - expected) / n)


def answering(draw: random.Random, p: float, wrong: Sequence[str] = WRONG) -> str:
    """An answer that is right with probability p, else any of the wrong values."""
    return f"The answer is {RIGHT if draw.random() < p else draw.choice(wrong)}."


def is_right(text: str) -> bool:
    return f"is {RIGHT}." in text


def tokens(logprob: float, number: int) -> dict[str, Any]:
    """Log-probabilities of an answer of `number` tokens whose mean is `logprob`."""
    return {"content": [{"token": "x", "logprob": logprob, "top_logprobs": []} for _ in range(number)]}


# -- self_consistency -------------------------------------------------------------------------------------------------


def voted(ps: Sequence[float], weights: Sequence[float], wrong: int) -> float:
    """P(right) of a weighted vote, by going through every outcome; of equals the one said first wins."""
    total = 0.0
    for outcome in product(range(wrong + 1), repeat=len(ps)):  # 0 is right
        chance = math.prod(p if said == 0 else (1 - p) / wrong for p, said in zip(ps, outcome, strict=True))
        scores = {said: sum(w for w, s in zip(weights, outcome, strict=True) if s == said) for said in outcome}
        total += chance * (next(said for said in outcome if scores[said] > max(scores.values()) - 1e-9) == 0)
    return total


@pytest.mark.parametrize(("p", "n", "wrong"), [(0.4, 5, 4), (0.3, 3, 1), (0.5, 7, 2)])
async def test_a_vote_is_as_right_as_its_voters_make_it(p: float, n: int, wrong: int) -> None:
    draw = random.Random(1)
    result = await exam("self_consistency", lambda *_: answering(draw, p, WRONG[:wrong]), samples=n)
    assert within(result.accuracy, voted([p] * n, [1] * n, wrong))


def test_the_reference_of_votes_is_condorcets() -> None:
    """Three voters, two values: p³ + 3p²(1-p)."""
    assert voted([0.7] * 3, [1] * 3, 1) == pytest.approx(0.7**3 + 3 * 0.7**2 * 0.3)


@pytest.mark.parametrize("weighted", [True, False])
async def test_a_vote_of_several_experts_weighs_by_their_scores(weighted: bool) -> None:
    draw, ps = random.Random(2), {"a": 0.8, "b": 0.35, "c": 0.4}
    result = await exam(
        "self_consistency",
        lambda expert, *_: answering(draw, ps[expert], WRONG[:2]),
        ranked=tuple(ps),
        scores=ps,
        samples=3,
        experts=3,
        weighted=weighted,
    )
    weights = list(ps.values()) if weighted else [1] * 3
    assert within(result.accuracy, voted(list(ps.values()), weights, 2))


# -- best_of_n --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("p", "hit", "slip"), [(0.4, 0.9, 0.2), (0.2, 0.6, 0.5)])
async def test_best_of_n_is_as_good_as_its_judge(p: float, hit: float, slip: float) -> None:
    """The judge rates a right answer 9 with probability `hit` and a wrong one with `slip`, else 2; of equals the first.

    P(right) = P(any 9) P(right | 9) + P(no 9) P(right | 2).
    """
    n, draw = 4, random.Random(3)

    def reply(expert: str, role: str, shown: str) -> str:
        if role == "judge":
            return "9" if draw.random() < (hit if is_right(shown) else slip) else "Rating: 2/10"
        return answering(draw, p)

    result = await exam("best_of_n", reply, samples=n)
    liked = p * hit + (1 - p) * slip
    none = (1 - liked) ** n
    expected = (1 - none) * p * hit / liked + (none * p * (1 - hit) / (1 - liked) if none else 0)
    assert within(result.accuracy, expected)
    assert result.roles == {"sample": n * N, "judge": n * N}


async def test_best_of_n_by_a_list_is_as_good_as_its_judge() -> None:
    """The judge finds a right answer where there is one with probability 0.8, else it names any wrong one."""
    n, p, finds, draw = 4, 0.3, 0.8, random.Random(4)

    def reply(expert: str, role: str, shown: str) -> str:
        if role != "judge":
            return answering(draw, p)
        good = [number for number, text in _blocks(shown) if is_right(text)]
        bad = [number for number, text in _blocks(shown) if not is_right(text)]
        return f"Answer {draw.choice(good if good and (draw.random() < finds or not bad) else bad)}"

    result = await exam("best_of_n", reply, samples=n, judge="listwise")
    all_right = p**n
    expected = all_right + (1 - (1 - p) ** n - all_right) * finds
    assert within(result.accuracy, expected)
    assert result.roles == {"sample": n * N, "judge": N}


def _blocks(shown: str) -> list[tuple[str, str]]:
    return re.findall(r'<answer number="(\d+)">\n(.*?)\n</answer>', shown, re.DOTALL)


async def test_best_of_n_by_logprob_takes_the_likeliest_per_token() -> None:
    """The mean surprise of a right answer is exponential with mean 1/3, of a wrong one with mean 1: with k right ones of n
    the least surprise is a right one's with probability 3k / (3k + n - k). Right answers are the longer ones, which would
    lose by the sum."""
    n, p, draw = 4, 0.3, random.Random(5)

    def logprobs(expert: str, text: str) -> Any:
        right = is_right(text)
        return tokens(-draw.expovariate(3.0 if right else 1.0), draw.randint(10, 40) if right else draw.randint(1, 5))

    result = await exam("best_of_n", lambda *_: answering(draw, p), samples=n, judge="logprob", logprobs=logprobs)
    expected = sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) * 3 * k / (3 * k + n - k) for k in range(n + 1))
    assert within(result.accuracy, expected)


# -- cascade ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["logprob", "margin", "free_energy", "self_verification", "judge", "verifier"])
async def test_a_cascade_is_what_its_calibration_makes_it(by: str) -> None:
    """Right answers of the first two stages are sure with probability 0.8, wrong ones with 0.25.

    P(right) = p₁α + (1 - s₁)(p₂α + (1 - s₂)p₃) with s = pα + (1 - p)β the share that is accepted.
    """
    ps, sure_right, sure_wrong = {"a": 0.5, "b": 0.6, "c": 0.9}, 0.8, 0.25
    draw = random.Random(6)

    def is_sure(text: str) -> bool:
        return draw.random() < (sure_right if is_right(text) else sure_wrong)

    def reply(expert: str, role: str, shown: str) -> str:
        if role != "verify":
            return answering(draw, ps[expert])
        if by == "judge":
            return "Yes." if is_sure(shown) else "No, it is not."
        return "85" if is_sure(shown) else "I would say 20 out of 100"

    def logprobs(expert: str, text: str) -> Any:
        sure = is_sure(text) if by in ("logprob", "margin", "free_energy") else False
        token = {
            "token": "x",
            "logprob": math.log(0.9 if sure else 0.4),
            "logsumexp": 12.0 if sure else 7.0,
            "top_logprobs": [{"logprob": math.log(top)} for top in ((0.8, 0.1) if sure else (0.52, 0.4))],
        }
        return {"content": [token] * 5}

    params: dict[str, Any] = {"free_energy": {"threshold": 10.0}, "verifier": {"verifier": "checked"}}.get(by, {})

    async def holds(rule: str, text: str) -> bool:
        assert rule == "checked"
        return is_sure(text)

    result = await exam("cascade", reply, ranked=tuple(ps), logprobs=logprobs, more={"holds": holds}, by=by, **params)
    accepted = {name: p * sure_right + (1 - p) * sure_wrong for name, p in ps.items()}
    late = ps["b"] * sure_right + (1 - accepted["b"]) * ps["c"]
    assert within(result.accuracy, ps["a"] * sure_right + (1 - accepted["a"]) * late)
    assert within(result.roles["answer"] / N, (1 - accepted["a"]) * (1 - accepted["b"])), "how often the last is asked"
    assert within(result.roles["stage"] / N - 1, 1 - accepted["a"]), "how often the second is asked"


async def test_a_judge_asked_three_times_is_a_majority() -> None:
    draw, p, hit, slip = random.Random(7), {"a": 0.5, "b": 0.9}, 0.7, 0.3

    def reply(expert: str, role: str, shown: str) -> str:
        if role == "verify":
            return "yes" if draw.random() < (hit if is_right(shown) else slip) else "no"
        return answering(draw, p[expert])

    def most(q: float) -> float:
        return q**3 + 3 * q**2 * (1 - q)

    result = await exam("cascade", reply, ranked=tuple(p), by="judge", checks=3)
    accepted = p["a"] * most(hit) + (1 - p["a"]) * most(slip)
    assert within(result.accuracy, p["a"] * most(hit) + (1 - accepted) * p["b"])


# -- mcts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "iterations"), [(1, 1), (2, 3), (3, 5)])
async def test_a_search_with_a_sure_judge_ends_at_the_first_right_answer(width: int, iterations: int) -> None:
    """Every revision is a new chance: P(right) = 1 - (1-p)^width (1-r)^iterations."""
    p, mends, draw, n = 0.3, 0.25, random.Random(8), 800

    def reply(expert: str, role: str, shown: str) -> str:
        if role == "rate":
            return "10" if is_right(shown) else "4"
        if role == "critique":
            return "It is wrong."
        return answering(draw, mends if role == "revise" else p)

    result = await exam("mcts", reply, n=n, width=width, iterations=iterations)
    assert within(result.accuracy, 1 - (1 - p) ** width * (1 - mends) ** iterations, n)


LEVELS, TO_BEGIN, STEPS = 8, {2: 0.5, 4: 0.3, 5: 0.2}, {-1: 0.25, 0: 0.3, 2: 0.45}


async def test_a_search_is_the_one_that_uct_describes() -> None:
    """Answers have levels 0..8 that the judge sees; a revision moves a level. Every course of the search is gone through
    with a second implementation, written as a tree of objects."""
    draw, n, width, iterations = random.Random(9), 1000, 2, 4

    criticised = 0

    def reply(expert: str, role: str, shown: str) -> str:
        nonlocal criticised
        if role == "rate":
            return str(_level(shown))
        if role == "critique":
            criticised = _level(shown)
            return f"level {criticised} is not enough"
        return f"level {_moved(criticised, _pick(draw, STEPS)) if role == 'revise' else _pick(draw, TO_BEGIN)}"

    result = await exam("mcts", reply, n=n, width=width, iterations=iterations, exploration=0.5)
    expected = _searched(width, iterations, 0.5)
    found = Counter(_level(text) for text in result.texts)
    for level, chance in expected.items():
        assert within(found[level] / n, chance, n), (level, found[level] / n, chance)


def _level(text: str) -> int:
    return int(re.findall(r"level (\d+)", text)[0])


def _moved(level: int, by: int) -> int:
    return max(0, min(LEVELS, level + by))


def _pick(draw: random.Random, chances: Mapping[int, float]) -> int:
    return draw.choices(list(chances), list(chances.values()))[0]


@dataclass(eq=False)
class Leaf:
    """A node of the second implementation."""

    level: int
    above: "Leaf | None"
    born: int
    below: list["Leaf"] = field(default_factory=list)
    q: float = 0.0
    visits: int = 1


def _searched(width: int, iterations: int, c: float) -> dict[int, float]:
    """P(level of the answer) by going through every course of a search."""
    found: dict[int, float] = {}
    for begun in product(TO_BEGIN, repeat=width):
        for steps in product(STEPS, repeat=iterations):
            chance = math.prod(TO_BEGIN[level] for level in begun) * math.prod(STEPS[step] for step in steps)
            level = _course(begun, steps, width, c)
            found[level] = found.get(level, 0.0) + chance
    return found


def _course(begun: Sequence[int], steps: Sequence[int], width: int, c: float) -> int:
    all_: list[Leaf] = [Leaf(level, None, born, q=level / 10) for born, level in enumerate(begun)]
    for step in steps:
        ranked = []
        for leaf in all_:
            if len(leaf.below) == width:
                continue
            over = leaf.above.visits if leaf.above else sum(other.visits for other in all_ if not other.above)
            ranked.append((leaf.q + c * (math.log(over + 1) / (leaf.visits + 1e-6)) ** 0.5, -leaf.born, leaf))
        parent = max(ranked)[2]
        new = Leaf(_moved(parent.level, step), parent, len(all_))
        new.q = new.level / 10
        parent.below.append(new)
        all_.append(new)
        up: Leaf | None = parent
        while up:
            up.q = 0.5 * (up.q + max(leaf.q for leaf in up.below))
            up.visits += 1
            up = up.above
    return max(all_, key=lambda leaf: (leaf.level, -leaf.born)).level


def test_the_next_to_be_revised_has_the_highest_uct() -> None:
    """By hand, c = 0.5 under a root of 4 visits: 0.9 + 0.5 √(ln 5 / 3) = 1.266 against x + 0.5 √(ln 5) = x + 0.634."""

    def nodes(value: float) -> list[Any]:
        return [
            {"voice": None, "parent": -1, "rating": 0.9, "value": 0.9, "visits": 3},
            {"voice": None, "parent": -1, "rating": value, "value": value, "visits": 1},
        ]

    chosen = registry.load("orchestrator.strategies", "mcts").chosen
    assert chosen(nodes(0.6), 2, 0.5) == 0
    assert chosen(nodes(0.65), 2, 0.5) == 1
    assert chosen(nodes(0.65), 2, 0.0) == 0, "without exploration the most valuable"
    full = [*nodes(0.1), *({**nodes(0.0)[1], "parent": 0} for _ in range(2))]
    assert chosen(full, 2, 0.0) == 1, "the first has its two revisions"


async def test_the_same_answers_give_the_same_search() -> None:
    async def once() -> list[str]:
        draw = random.Random(10)

        def reply(expert: str, role: str, shown: str) -> str:
            return str(draw.randint(0, 9)) if role == "rate" else f"level {draw.randint(0, 9)}"

        return (await exam("mcts", reply, n=20)).texts

    assert await once() == await once()


# -- fallback ---------------------------------------------------------------------------------------------------------


async def test_fallback_moves_on_from_what_will_not_do() -> None:
    """An expert refuses or says nothing with probability q: the next one answers then."""
    draw, ps, silent = random.Random(11), {"a": 0.5, "b": 0.7, "c": 0.9}, {"a": 0.4, "b": 0.3, "c": 0.2}

    def reply(expert: str, role: str, shown: str) -> str:
        if draw.random() < silent[expert]:
            return draw.choice(["", "I'm sorry, but I can't help with that."])
        return answering(draw, ps[expert])

    result = await exam("fallback", reply, ranked=tuple(ps), also_on=["empty", "refusal"])
    expected, left = 0.0, 1.0
    for name, p in ps.items():
        expected += left * (1 - silent[name]) * p
        left *= silent[name]
    assert within(result.accuracy, expected)


# -- the graph --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["self_consistency", "best_of_n", "cascade", "mcts", "fallback"])
async def test_langgraph_walks_as_the_steps_do(name: str) -> None:
    async def once(walk: bool) -> tuple[list[str], Counter[str]]:
        draw = random.Random(12)

        def reply(expert: str, role: str, shown: str) -> str:
            if role in ("judge", "verify", "rate"):
                return str(draw.randint(0, 9))
            return draw.choice(["", answering(draw, 0.5), "I'm sorry, but I can't help with that."])

        found = await exam(name, reply, n=40, ranked=("a", "b", "c"), walk=walk, **params)
        return found.texts, found.roles

    params: dict[str, Any] = {
        "cascade": {"by": "self_verification", "threshold": 0.05},
        "fallback": {"also_on": ["refusal"]},
    }.get(name, {})
    assert await once(True) == await once(False)
