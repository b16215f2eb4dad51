"""Cases that a policy must decide as written: a JSON object a line, each a request and what is expected of it.

Knows nothing of the terminal.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field, ValidationError, model_validator

from experts.errors import InputError, MadrigalError
from experts.spec import Frozen
from orchestrator.offline import Offline
from orchestrator.problems import given, suggest
from router.policy import Route
from router.session import Previous


class Expected(Frozen):
    """What is expected of one signal."""

    matched: bool | None = Field(None, description="whether it matches")
    label: str | None = Field(None, description="its label")
    value: Any = Field(None, description="its value")


class Answered(Frozen):
    """Who answered a conversation before, for `session`."""

    expert: str = Field(description="the expert that answered")
    decision: str | None = Field(None, description="the decision it answered by; default: the first that may use it")


class Case(Frozen):
    """One line of a file of cases."""

    text: str | None = Field(None, description="one user message; either this or `messages`")
    messages: tuple[Mapping[str, Any], ...] | None = Field(None, description="a conversation, as in the chat API")
    request: Mapping[str, Any] = Field({}, description="further keys of the request's body: tools, max_tokens …")
    model: str = Field("auto", description="a policy, or an expert")
    headers: Mapping[str, str] = Field({}, description="request headers, for metadata signals")
    user: str = Field("", description="the key's user")
    tenant: str = Field("default", description="the key's tenant")
    roles: tuple[str, ...] = Field((), description="the key's roles")
    previous: str | Answered | None = Field(
        None, description="who answered the conversation before: an expert, or {expert: …, decision: …}"
    )
    decision: str = Field(description="the decision that must win; refused: a constraint must refuse")
    expert: str | None = Field(None, description="the expert that must be asked first")
    signals: Mapping[str, bool | Expected] = Field({}, description="signals that must match, or not, or say this")

    @model_validator(mode="after")
    def _one(self) -> "Case":
        if (self.text is None) == (self.messages is None):
            raise ValueError("a case needs exactly one of 'text' and 'messages'")
        return self

    @property
    def answered(self) -> Previous | None:
        """`previous`, as the router takes it."""
        if isinstance(self.previous, Answered):
            return Previous(self.previous.expert, self.previous.decision)
        return None if self.previous is None else Previous(self.previous)

    @property
    def body(self) -> dict[str, Any]:
        """The chat body of the case."""
        messages = [{"role": "user", "content": self.text}] if self.text is not None else list(self.messages or ())
        return {**self.request, "model": self.model, "messages": messages}

    @property
    def shown(self) -> str:
        """The text, or the last message's, on one line."""
        text = self.text if self.text is not None else str((self.messages or ({},))[-1].get("content", ""))
        return " ".join(text.split())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy did with a case; `misses` is empty where all was as expected."""

    line: int
    case: Case
    decision: str
    expert: str | None
    misses: tuple[str, ...]


def read_cases(text: str, file: str) -> list[tuple[int, Case]]:
    """Every case with its line number. Blank lines and lines that begin with # are skipped.

    Raises `InputError` that tells every wrong line.
    """
    cases: list[tuple[int, Case]] = []
    wrong: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            cases.append((number, Case.model_validate_json(line, strict=True)))
        except ValidationError as error:
            wrong += [f"{file}:{number}: {_said(one)}" for one in error.errors(include_url=False)]
    if wrong:
        raise InputError("\n".join(wrong[:20]), remedy='A line is {"text": "…", "decision": "…"}; see docs/policy.md.')
    if not cases:
        raise InputError(
            f"{file} holds no cases", remedy='A line is {"text": "…", "decision": "…"}; see docs/policy.md.'
        )
    return cases


async def try_case(offline: Offline, line: int, case: Case) -> Outcome:
    """Route one case and compare."""
    try:
        route = await offline.route(
            case.body,
            headers=case.headers,
            user=case.user,
            tenant=case.tenant,
            roles=case.roles,
            previous=case.answered,
        )
    except MadrigalError as error:
        return Outcome(line, case, "error", None, (error.message,))
    expert = route.experts[0].expert if route.experts else None
    return Outcome(line, case, route.decision, expert, tuple(_misses(case, route, expert)))


def _misses(case: Case, route: Route, expert: str | None) -> list[str]:
    misses = []
    if route.decision != case.decision:
        misses.append(f"decision {route.decision}, expected {case.decision}")
    if case.expert is not None and expert != case.expert:
        misses.append(f"expert {expert or 'none'}, expected {case.expert}")
    told: Mapping[str, Any] = route.trace()["signals"]
    for name, wanted in case.signals.items():
        signal = told.get(name)
        if signal is None:
            misses.append(f"there is no signal {name!r}{suggest(name, told)}")
        elif not signal["computed"]:
            misses.append(f"signal {name} was not needed, so not computed")
        else:
            expected = {"matched": wanted} if isinstance(wanted, bool) else wanted.model_dump(exclude_unset=True)
            misses += [
                f"{name}.{key} is {json.dumps(signal[key])}, expected {json.dumps(value)}"
                for key, value in expected.items()
                if signal[key] != value
            ]
    return misses


def _said(error: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "json_invalid":
        return f"not JSON: {error['ctx']['error']}"
    if error["type"] == "extra_forbidden":
        return f"unknown key {key!r}{suggest(key, Case.model_fields)}"
    if error["type"] == "missing":
        return f"key {key!r} is missing"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    return f"{key}: {error['msg']}; {given(error['input'])} was given"
