"""A fixed answer, no expert asked: a notice, a redirection, an apology."""

from pydantic import Field

from experts.call import Answer
from experts.spec import Frozen
from orchestrator.plugins import Kit, Plugin, Turn
from orchestrator.request import Text

EXAMPLE = {"text": "We are closed until Monday."}


class Params(Frozen):
    """What is said."""

    text: str = Field(min_length=1, description="the answer")


def build(params: Params, kit: Kit) -> Plugin:
    """It answers every request of its decision."""
    return _Reply(params)


class _Reply(Plugin):
    def __init__(self, params: Params) -> None:
        self._text = params.text

    async def enter(self, turn: Turn) -> Answer | None:
        return Text(self._text, call=turn.call, model=turn.model, created=turn.created, ask_usage=turn.ask_usage)
