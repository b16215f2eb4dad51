"""Experts as judges: how they are asked about an answer, and how their reply is read. Pure; knows no strategy.

The conversation stays as it is; the question about the answers, and the answers as marked data, follow the user's last
message, so that templates which want user and assistant to take turns are content.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from orchestrator.panel import Ask
from orchestrator.synthesis import DATA, quoted
from orchestrator.voice import Messages

RATING = (
    "Do not answer the message above. Rate the answer that was given to it: is it right, complete and in the form that "
    "was asked for? Reply with one number from 0 (wrong) to 10 (right and complete) and nothing else."
)
LISTWISE = (
    "Do not answer the message above. Several answers to it were given, work out which one is the best: right, complete "
    "and in the form that was asked for. Reply with its number and nothing else."
)
SURENESS = (
    "Do not answer the message above. How likely is it that the answer given to it is right? Reply with one number from "
    "0 (surely wrong) to 100 (surely right) and nothing else."
)
VERIFICATION = (
    "Do not answer the message above. Check the answer that was given to it. Is it right? Reply with yes or no and "
    "nothing else."
)

_OUT_OF = re.compile(r"(?<!\d)(\d+(?:\.\d+)?)\s*(?:/|out of)\s*(\d+)")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?")
_RANGE = re.compile(r"(?<!\d)\d+\s*(?:-|–|to)\s*\d+")
_YES = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


def about(messages: Messages, question: str, answers: Sequence[str]) -> list[dict[str, Any]]:
    """The conversation, its last user message followed by the answers as data and our question about them."""
    added = f"{DATA.format(tag='answer')}\n\n{quoted(answers)}\n\n{question}"
    told = [dict(message) for message in messages]
    last = told[-1] if told else {}
    content = last.get("content")
    if last.get("role") != "user" or not isinstance(content, str | list):
        return [*told, {"role": "user", "content": added}]
    last["content"] = (
        f"{content}\n\n{added}" if isinstance(content, str) else [*content, {"type": "text", "text": added}]
    )
    return told


def judgement(
    messages: Messages,
    judge: str,
    question: str,
    answers: Sequence[str],
    *,
    role: str,
    tokens: int,
    sampling: Mapping[str, Any] | None = None,
) -> Ask:
    """One question about answers, not made where the judge may not see all of them. `tokens` bound the reply."""
    write = partial(about, messages, question)
    return Ask(
        judge,
        write,
        answers,
        role,
        {"temperature": 0.0, "max_tokens": tokens, **(sampling or {})},
        least=len(answers),
        aside=True,
    )


def number_in(reply: str, most: float) -> float | None:
    """The number a judge named, from 0 to `most`: `7`, `7/10`, `Rating: 7`; None where there is none."""
    if (parts := _OUT_OF.search(reply)) is not None and float(parts[2]) > 0:
        return min(float(parts[1]) / float(parts[2]), 1.0) * most
    found = [float(number) for number in _NUMBER.findall(_RANGE.sub(" ", reply))]
    return next((number for number in found if number <= most), None)


def place_in(reply: str, count: int) -> int | None:
    """The answer a judge chose among `count`, from 0; None where the reply names none of them."""
    number = number_in(reply, count)
    return int(number) - 1 if number is not None and number >= 1 else None


def yes_in(reply: str) -> bool | None:
    """Whether a judge said yes; None where it said neither yes nor no."""
    found = _YES.search(reply)
    return None if found is None else found[1].lower() == "yes"
