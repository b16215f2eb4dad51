"""A decision's plugins, built and in their order: in on the way to the experts, out on the way back. Knows no plugin."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from experts.call import Answer
from orchestrator import plugin_files
from orchestrator.config import Config
from orchestrator.plugins import Kit, Plugin, Turn, ordered


@dataclass(frozen=True, slots=True)
class Link:
    """One plugin of a decision: its name, and its place in the decision's list."""

    name: str
    place: int
    plugin: Plugin


@dataclass(frozen=True, slots=True)
class Chain:
    """Links from the client to the experts."""

    links: Sequence[Link]

    async def run(self, turn: Turn, places: Sequence[int], ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Go through those of `places`, `ask` the experts unless a plugin has the answer, and back.

        Returns once the answer has begun. Where a plugin fails on the way out the answer is closed.
        """
        entered: list[Link] = []
        answer: Answer | None = None
        for link in self.links:
            if link.place not in places:
                continue
            answer = await link.plugin.enter(turn)
            if answer is not None:
                turn.notes.append(f"{link.name} answered")
                break
            entered.append(link)
        if answer is None:
            answer = await ask()
        for link in reversed(entered):
            try:
                answer = await link.plugin.leave(turn, answer)
            except BaseException:
                await answer.aclose()
                raise
        return answer


def chains(config: Config, kit: Kit) -> Mapping[tuple[str, str], Chain]:
    """The chain of every decision that has plugins, by policy and decision. Raises `ConfigError`."""
    found: dict[tuple[str, str], Chain] = {}
    for policy in config.policies.values():
        for decision in policy.decisions:
            links = [
                Link(one.type, place, plugin_files.load(one.type, config.own_plugins).build(one.params, kit))
                for place in ordered([plugin.type for plugin in decision.plugins])
                for one in (decision.plugins[place],)
            ]
            if links:
                found[policy.name, decision.name] = Chain(links)
    return found
