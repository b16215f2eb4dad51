"""`Card`: what the router knows of an expert. Knows nothing of engines, processes or how it came to know."""

from dataclasses import dataclass, field

from experts.spec import Capabilities, Price


@dataclass(frozen=True, slots=True)
class Card:
    """One expert as a router sees it: whether it can serve, what it costs, what it is said to be good at."""

    name: str
    capabilities: Capabilities
    price: Price = field(default_factory=Price)
    tags: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
