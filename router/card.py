"""`Card`: what the router knows of an expert. Knows nothing of engines, processes or how it came to know."""

from dataclasses import dataclass, field

from experts.spec import Capabilities, ExpertSpec, Price


@dataclass(frozen=True, slots=True)
class Card:
    """One expert as a router sees it: whether it can serve, what it costs, what it is said to be good at."""

    name: str
    capabilities: Capabilities
    price: Price = field(default_factory=Price)
    tags: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()


def card_of(spec: ExpertSpec, capabilities: Capabilities) -> Card:
    """The card of an expert of the policy file."""
    return Card(spec.name, capabilities, price=spec.price, tags=spec.tags, skills=spec.skills)
