"""Strategies as graphs: a `Plan` names the steps before the last call, LangGraph runs them, `deliberate` ends the answer.

    start ─▶ step ─▶ step … ─▶ final        steps ask the panel and hand plain data on;
                                            the final step is one streamed call, or a text that is there already

Knows no strategy. What a plan's state holds is plain data, so that a checkpoint can keep it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypedDict, get_type_hints

from experts.call import Answer, Call
from experts.errors import MadrigalError
from orchestrator.budget import Budget
from orchestrator.durable import Durable
from orchestrator.panel import Ask, Panel, Standing
from orchestrator.strategies import Job
from orchestrator.voice import Voice

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph

START = "start"
STANDING = "standing"
"""Where a durable run's state says how far its panel has come. No plan's own state has it."""
_MOST_STEPS = 10_000
"""A plan ends by its own rules and its budget; this only stops one that is wrong."""


class Deliberate(Protocol):
    """Parameters of a strategy of several calls."""

    @property
    def budget(self) -> Budget:
        """What it may spend."""


State: TypeAlias = Any
"""A `TypedDict` of plain data, a plan's own."""
Step: TypeAlias = Callable[[State, Panel, Any], Awaitable[Mapping[str, Any]]]
"""(state, panel, params) → what changes in the state."""
Turn: TypeAlias = Callable[[State, Panel, Any], str]
"""(state, panel, params) → the name of the next step, or of the final one."""
Conclude: TypeAlias = Callable[[State, Panel, Any], Ask | Voice | None]
"""(state, panel, params) → the last call, or the answer itself; None: the best so far."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A strategy's graph. `flow` are edges by name, from `START` to steps to `final`; `turns` are steps after which a
    function chooses among the names it is listed with. `state` is the TypedDict that steps read and change."""

    state: type
    steps: Mapping[str, Step]
    flow: Sequence[tuple[str, str]]
    final: str
    conclude: Conclude
    turns: Mapping[str, tuple[Turn, tuple[str, ...]]] = field(default_factory=dict)


_READY: "dict[Plan, CompiledStateGraph[Any, Any, Any, Any]]" = {}
"""Plans that have run. There is one for each strategy, and a compiled graph has no state."""


@dataclass(frozen=True, slots=True)
class Sitting:
    """What a running graph's steps are given besides its state."""

    panel: Panel
    params: Any


async def deliberate(plan: Plan, job: Job, params: Deliberate) -> Answer:
    """Run a plan's steps and begin its final answer.

    A request whose form only one call can give (tools, several choices, logprobs, plain completions) is answered by one.
    So is one for which nothing came: every voice failed, or the budget's time was up before the first. Where something
    came, the best of it is the answer, whatever fails afterwards. Raises what `Attempts.first` raises.

    With `job.durable` every answered call and every step that is done are kept, and a run that was broken off goes on with
    them; what was kept is forgotten once the answer was given to its end, or failed for good.
    """
    if job.durable is None:
        return await _deliberate(plan, job, params)
    try:
        answer = await _deliberate(plan, job, params)
    except MadrigalError:
        await job.durable.forget()
        raise
    return job.durable.until_given(answer)


async def _deliberate(plan: Plan, job: Job, params: Deliberate) -> Answer:
    if (why := alone(job.call)) is not None:
        job.note(f"one call: the request has {why}")
        return await _single(job)
    panel = Panel(job, params.budget)
    try:
        async with asyncio.timeout(panel.purse.left_s()) as limit:
            state = await _run(plan, panel, params)
            end = plan.conclude(state, panel, params)
            if isinstance(end, dict):
                return panel.told(end)
            if end is not None:
                return await panel.final(end)
    except TimeoutError:
        if not limit.expired():
            raise
        job.note("budget: the time was up")
    if panel.best is None and panel.aside is None:
        job.note("nobody answered: one plain call instead")
        return await _single(job)
    return panel.told()


def alone(call: Call) -> str | None:
    """What of a request only one call can answer, None where several may take part."""
    if call.path != "chat/completions":
        return "no messages"
    body = call.body
    if body.get("tools") and body.get("tool_choice") != "none":
        return "tools"
    if (body.get("n") or 1) > 1:
        return "n above 1"
    if body.get("logprobs"):
        return "logprobs"
    return "audio" if "audio" in call.needs else None


async def _single(job: Job) -> Answer:
    return await job.attempts.first(job.experts, job.call, ask_usage=job.ask_usage)


async def _run(plan: Plan, panel: Panel, params: Any) -> State:
    await warm(plan)
    from langsmith import tracing_context

    sitting = Sitting(panel, params)
    # LangGraph would send texts to LangSmith where the environment says so; what may leave is for the policy to say
    with tracing_context(enabled=False):
        if panel.job.durable is None:
            return await _READY[plan].ainvoke({}, {"recursion_limit": _MOST_STEPS}, context=sitting)
        return await _continue(plan, sitting, panel.job.durable)


async def _continue(plan: Plan, sitting: Sitting, durable: Durable) -> State:
    """Run a plan from its last step that was kept, or from the start."""
    from orchestrator.store.checkpoints import checkpointer

    graph = compiled(plan, checkpoints=checkpointer(durable.store))
    config: RunnableConfig = {"configurable": {"thread_id": durable.thread}, "recursion_limit": _MOST_STEPS}
    kept = await graph.aget_state(config)
    if not kept.next and not kept.values:
        return await graph.ainvoke({}, config, context=sitting, durability="sync")
    calls = await durable.kept()
    sitting.panel.resume(kept.values.get(STANDING), calls)
    sitting.panel.job.note(f"taken up again after {len(calls)} answered calls")
    return await graph.ainvoke(None, config, context=sitting, durability="sync") if kept.next else kept.values


def compiled(
    plan: Plan, *, drawn: bool = False, checkpoints: "BaseCheckpointSaver[Any] | None" = None
) -> "CompiledStateGraph[Any, Any, Any, Any]":
    """The plan as LangGraph runs it; `drawn` with its final step as a node, which running does without. With
    `checkpoints` they keep its state, and where the panel stands, after each step."""
    from langgraph.graph import END, StateGraph
    from langgraph.graph import START as BEGIN

    graph: Any = StateGraph(plan.state if checkpoints is None else _standing(plan.state), context_schema=Sitting)
    for name, step in plan.steps.items():
        graph.add_node(name, _node(step, standing=checkpoints is not None))
    place = {START: BEGIN, plan.final: plan.final if drawn else END}
    if drawn:
        graph.add_node(plan.final, _nothing)
        graph.add_edge(plan.final, END)
    for a, b in plan.flow:
        graph.add_edge(place.get(a, a), place.get(b, b))
    for name, (turn, ways) in plan.turns.items():
        graph.add_conditional_edges(name, _turn(turn), {way: place.get(way, way) for way in ways})
    return graph.compile(checkpointer=checkpoints)  # type: ignore[no-any-return]


def _standing(state: type) -> type:
    """A plan's state with where the panel stands."""
    made: Any = TypedDict
    found: type = made(state.__name__, {**get_type_hints(state), STANDING: Standing}, total=False)
    return found


def _node(step: Step, *, standing: bool) -> Callable[[State], Awaitable[Mapping[str, Any]]]:
    from langgraph.runtime import get_runtime

    async def node(state: State) -> Mapping[str, Any]:
        sitting = get_runtime(Sitting).context
        changed = await step(state, sitting.panel, sitting.params)
        return {**changed, STANDING: sitting.panel.standing()} if standing else changed

    return node


def _turn(turn: Turn) -> Callable[[State], str]:
    from langgraph.runtime import get_runtime

    def choose(state: State) -> str:
        sitting = get_runtime(Sitting).context
        return turn(state, sitting.panel, sitting.params)

    return choose


async def warm(plan: Plan) -> None:
    """Compile a plan off the event loop: the first one loads LangGraph, which takes seconds."""
    if plan not in _READY:
        _READY[plan] = await asyncio.to_thread(compiled, plan)


async def _nothing(state: State) -> Mapping[str, Any]:
    return {}
