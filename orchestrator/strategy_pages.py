"""What strategies look like from outside: their first sentence, parameters, steps and graph, for docs and command line.

The reference part of docs/strategies.md is made here, from the code, so that it cannot drift; `madrigal strategies docs
--update` writes it. Knows nothing of files nor of running a strategy.
"""

import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from experts import registry
from orchestrator.deliberation import Plan, compiled
from orchestrator.reference import parameters

if TYPE_CHECKING:
    from langchain_core.runnables.graph import Graph

STRATEGIES = "orchestrator.strategies"
BEGIN = "<!-- from here on generated: madrigal strategies docs --update docs/strategies.md -->"
END = "<!-- up to here generated -->"


def about(name: str) -> str:
    """A strategy's first sentence. Raises `InputError` where there is none of this name."""
    return _first(registry.load(STRATEGIES, name))


def told(name: str) -> str:
    """All that a strategy's file says of itself."""
    return inspect.getdoc(registry.load(STRATEGIES, name)) or ""


def plan_of(name: str) -> Plan | None:
    """A strategy's graph; None where it makes its calls without one."""
    plan: Plan | None = getattr(registry.load(STRATEGIES, name), "PLAN", None)
    return plan


def steps(plan: Plan) -> dict[str, str]:
    """What each step does, and how the answer is made."""
    return {name: _first(step) for name, step in plan.steps.items()} | {plan.final: _first(plan.conclude)}


def graph(plan: Plan) -> "Graph":
    """Steps and the ways between them, the last call among them."""
    return compiled(plan, drawn=True).get_graph()


def mermaid(plan: Plan) -> str:
    """The graph in Mermaid's notation; made here, no service is asked."""
    return graph(plan).draw_mermaid()


def updated(page: str) -> str:
    """`page` with its generated part written anew. Raises `ValueError` where the marks are missing."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page must hold the lines {BEGIN} and {END}")
    return f"{head}{BEGIN}\n\n{reference()}\n{END}{tail}"


def reference() -> str:
    """Every strategy, in Markdown."""
    return "\n".join(line for name in registry.known(STRATEGIES) for line in _section(name))


def _section(name: str) -> Iterator[str]:
    yield f"## `{name}`\n\n{_markdown(told(name))}\n"
    plan = plan_of(name)
    if plan is None:
        yield "It has no graph.\n"
    else:
        yield f"```mermaid\n{mermaid(plan)}```\n"
        for step, does in steps(plan).items():
            yield f"- **{step}**: {does}"
        yield ""
    yield from parameters(registry.load(STRATEGIES, name).Params)


def _markdown(text: str) -> str:
    """A docstring as Markdown: what it indents is shown as it is written."""
    lines: list[str] = []
    for block in text.split("\n\n"):
        lines.append(f"```text\n{inspect.cleandoc(block)}\n```" if block.startswith("    ") else block)
    return "\n\n".join(lines)


def _first(thing: object) -> str:
    """The first paragraph of a docstring; of a module its first sentence."""
    first = (inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ")
    return first.partition(". ")[0].rstrip(".") + "." if isinstance(thing, ModuleType) and ". " in first else first
