"""Headers that carry keys. Knows nothing of who sends them."""


class Secret(dict[str, str]):
    """A dict whose values no log, trace or error message shows."""

    def __repr__(self) -> str:
        return repr(dict.fromkeys(self, "…"))

    __str__ = __repr__
