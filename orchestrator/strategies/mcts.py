"""A small tree search over revisions of an answer: Monte Carlo tree self-refine (Zhang et al., arXiv 2406.07394).

    samples ─▶ rated ─▶ the most promising is criticised and revised ─▶ rated ─▶ … ─▶ the best rated is the answer

A node is an answer. Its value Q is its rating in 0..1, and with children halfway to the best of theirs (their equation 3,
one rating for their several). The next to be revised has fewer than `width` revisions and the highest Q + c·√(ln(N_parent + 1) /
(N + ε)) (their UCT). Nothing here is drawn by chance: the same answers and ratings give the same search, equals go to the
earlier node. It ends early at an answer with the best rating, which no other can beat.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TypedDict

from pydantic import Field

from experts.call import Answer
from experts.spec import Frozen, Name
from orchestrator.budget import Budget
from orchestrator.deliberation import START, Plan, deliberate
from orchestrator.judging import RATING, about, judgement, number_in
from orchestrator.panel import Ask, Panel
from orchestrator.sampling import Sampling, samples
from orchestrator.strategies import Job
from orchestrator.synthesis import instructed, quoted
from orchestrator.voice import Voice

CRITIQUE = (
    "Do not answer the message above. Criticise the answer that was given to it: what is wrong, missing or not in the "
    "form that was asked for, and how would it be put right? Be strict and short."
)
REVISION = (
    "An earlier answer to the user's last message is given below, and after it what a critic said of it; the critic may "
    "be wrong too. Answer the user's message yourself: correct, complete, in the form the user asked for, without "
    "mentioning the earlier answer or the critic."
)
MOST = 10.0
_EPSILON = 1e-6
_ROOT = -1
"""The parent of the samples."""


class Params(Frozen):
    """How wide and how long to search."""

    iterations: int = Field(3, ge=1, le=64, description="revisions made, one after the other; each takes three calls")
    width: int = Field(2, ge=1, le=16, description="samples to begin with, and revisions of one answer at most")
    exploration: float = Field(
        0.5, ge=0, description="c of UCT: how much an answer that was revised less is preferred; ratings are in 0..1"
    )
    temperature: float = Field(0.7, ge=0, le=2, description="of samples and revisions")
    judged_by: Name | None = Field(None, description="who criticises and rates; none: the best ranked expert")
    judge_tokens: int = Field(32, ge=1, description="longest rating; more for a judge that thinks aloud")
    critique_tokens: int = Field(256, ge=1, description="longest critique")
    budget: Budget = Field(Budget(), description="calls, tokens and seconds at most")


def experts(params: Params) -> Iterable[tuple[str, str]]:
    """The judge, where one is named."""
    if params.judged_by is not None:
        yield "judged_by", params.judged_by


class Node(TypedDict):
    """An answer in the tree: whose revision it is (-1: a sample), its own rating in 0..1, its value, its visits."""

    voice: Voice
    parent: int
    rating: float | None
    value: float
    visits: int


class State(TypedDict, total=False):
    """The tree, its nodes in the order they were made, and the revisions tried so far."""

    nodes: list[Node]
    tried: int


def chosen(nodes: Sequence[Node], width: int, exploration: float) -> int | None:
    """The node to revise next: the highest UCT of those with fewer than `width` revisions, the first of equals."""
    children = [sum(other["parent"] == at for other in nodes) for at in range(len(nodes))]
    roots = sum(node["visits"] for node in nodes if node["parent"] == _ROOT)

    def uct(at: int) -> float:
        node = nodes[at]
        above = roots if node["parent"] == _ROOT else nodes[node["parent"]]["visits"]
        return node["value"] + exploration * math.sqrt(math.log(above + 1) / (node["visits"] + _EPSILON))

    open_ = [at for at in range(len(nodes)) if children[at] < width]
    return max(open_, key=uct) if open_ else None


def grown(nodes: Sequence[Node], new: Node) -> list[Node]:
    """The tree with one more node, what it is worth and that it was visited told to all above it."""
    tree = [node.copy() for node in (*nodes, new)]
    at = new["parent"]
    while at != _ROOT:
        node = tree[at]
        node["value"] = (node["value"] + max(other["value"] for other in tree if other["parent"] == at)) / 2
        node["visits"] += 1
        at = node["parent"]
    return tree


def best(nodes: Sequence[Node]) -> int:
    """The best rated node, the first of equals; one that nobody could rate is the last choice."""
    return max(range(len(nodes)), key=lambda at: -1.0 if (mark := nodes[at]["rating"]) is None else mark)


async def sample(state: State, panel: Panel, params: Params) -> Mapping[str, object]:
    """The first answers, rated; as many as the budget lets be rated too."""
    calls = params.budget.calls
    wanted = params.width if calls is None else max(1, min(params.width, calls // 2))
    asks = samples(panel.job, panel.seat(None), wanted, Sampling(params.temperature), shaped=True)
    voices = await panel.ask_all(asks)
    if not voices or panel.purse.room(1) == 0:
        return {"nodes": [_node(voice, _ROOT, None) for voice in voices], "tried": 0}
    nodes = [_node(voice, _ROOT, mark) for voice, mark in zip(voices, await _rate(voices, panel, params), strict=True)]
    _keep(nodes, panel)
    return {"nodes": nodes, "tried": 0}


async def revise(state: State, panel: Panel, params: Params) -> Mapping[str, object]:
    """One more node: the most promising answer criticised, revised and rated. A call that fails costs this revision."""
    nodes, tried = state["nodes"], state["tried"]
    at = chosen(nodes, params.width, params.exploration)
    assert at is not None, "the last node has no revisions yet"
    voice = await _revision(nodes[at]["voice"], tried, panel, params)
    if voice is None:
        return {"tried": tried + 1}
    (mark,) = await _rate([voice], panel, params)
    nodes = grown(nodes, _node(voice, at, mark))
    _keep(nodes, panel)
    return {"nodes": nodes, "tried": tried + 1}


async def _revision(answer: Voice, tried: int, panel: Panel, params: Params) -> Voice | None:
    """A better answer, it is hoped: by one call for what is wrong and one that puts it right."""
    messages, text = panel.job.call.body["messages"], answer["text"]
    critic, author = panel.seat(params.judged_by), panel.seat(None)
    write = partial(about, messages, CRITIQUE)
    sampling = {"temperature": 0.0, "max_tokens": params.critique_tokens}
    critique = await panel.ask(Ask(critic, write, [text], "critique", sampling, least=1, aside=True), keep=2)
    if critique is None:
        return None
    fields = Sampling(params.temperature).fields(panel.job.call.body, params.width + tried)
    material = [text, critique["text"]]
    return await panel.ask(
        Ask(author, partial(_revising, messages), material, "revise", fields, shaped=True, least=1), keep=1
    )


def _revising(messages: Sequence[Mapping[str, object]], texts: Sequence[str]) -> Sequence[Mapping[str, object]]:
    return instructed(messages, REVISION, quoted(texts))


async def _rate(voices: Sequence[Voice], panel: Panel, params: Params) -> list[float | None]:
    messages, by = panel.job.call.body["messages"], panel.seat(params.judged_by)
    asks = [
        judgement(messages, by, RATING, [voice["text"]], role="rate", tokens=params.judge_tokens) for voice in voices
    ]
    marks: list[float | None] = [None] * len(voices)
    async with panel.each(asks) as replies:
        async for at, reply in replies:
            mark = number_in(reply["text"], MOST)
            marks[at] = None if mark is None else mark / MOST
    return marks


def _node(voice: Voice, parent: int, mark: float | None) -> Node:
    """A new node; an answer that nobody could rate counts as worth nothing."""
    return Node(voice=voice, parent=parent, rating=mark, value=mark or 0.0, visits=1)


def _keep(nodes: Sequence[Node], panel: Panel) -> None:
    panel.best = nodes[best(nodes)]["voice"]


def turn(state: State, panel: Panel, params: Params) -> str:
    """On while there are iterations and calls left, and no answer has the best rating."""
    nodes = state["nodes"]
    if not nodes or nodes[best(nodes)]["rating"] == 1.0 or state["tried"] >= params.iterations:
        return "best"
    return "revise" if panel.purse.room(3) == 3 else "best"


def conclude(state: State, panel: Panel, params: Params) -> Voice | None:
    """The best rated answer."""
    nodes = state["nodes"]
    if not nodes:
        return None
    at = best(nodes)
    mark = nodes[at]["rating"]
    shown = "without a rating" if mark is None else f"rated {mark * MOST:.3g}"
    kind = "a sample" if nodes[at]["parent"] == _ROOT else f"a revision of number {nodes[at]['parent'] + 1}"
    panel.job.note(f"tree: {len(nodes)} answers; number {at + 1}, {kind}, {shown}")
    return nodes[at]["voice"]


PLAN = Plan(
    State,
    {"sample": sample, "revise": revise},
    ((START, "sample"),),
    "best",
    conclude,
    turns={"sample": (turn, ("revise", "best")), "revise": (turn, ("revise", "best"))},
)


async def run(job: Job, params: Params) -> Answer:
    """The best answer of the tree, in one piece."""
    return await deliberate(PLAN, job, params)
