"""`madrigal chat`: talk to a running server in the terminal. Knows only the server's HTTP API."""

import json
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from experts.errors import AuthenticationError, EngineDownError, InputError, MadrigalError
from orchestrator.cli._common import err, out

if TYPE_CHECKING:
    import httpx

HELP = "/new starts over · /model NAME changes the model (/model lists them) · /quit ends · Ctrl-C stops an answer"


def chat(
    url: Annotated[str, typer.Option(help="Address of the server.", envvar="MADRIGAL_URL")] = "http://127.0.0.1:8080",
    key: Annotated[str | None, typer.Option(help="API key.", envvar="MADRIGAL_API_KEY", show_default=False)] = None,
    model: Annotated[str, typer.Option(help="auto, a policy or an expert.")] = "auto",
    system: Annotated[str | None, typer.Option(help="A system message for the whole chat.")] = None,
    decision: Annotated[bool, typer.Option(help="Show which decision and expert answered.")] = True,
) -> None:
    """Chat with a running server; shows which decision and expert answered."""
    import httpx

    base = url.rstrip("/").removesuffix("/v1")
    try:
        client = httpx.Client(
            base_url=base,
            headers={"authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(None, connect=10.0),
        )
    except (httpx.InvalidURL, ValueError) as error:
        raise InputError(f"--url must be the address of a server; {url!r} was given ({error})") from None
    with client:
        talk = Talk(client, model, system)
        known = talk.models()
        if model not in known:
            raise InputError(f"the server has no model {model!r}.", remedy=f"It has: {', '.join(known)}.")
        _converse(talk, decision=decision)


@dataclass
class Talk:
    """One conversation with one server: the messages so far, and the headers of the last answer."""

    client: "httpx.Client"
    model: str
    system: str | None = None
    messages: list[dict[str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    took_s: float = 0.0

    def models(self) -> list[str]:
        """Names the server answers to. Raises `MadrigalError` where it cannot be reached or refuses."""
        import httpx

        try:
            answer = self.client.get("/v1/models", timeout=10.0)
        except httpx.TransportError as error:
            raise _unreachable(self.client, error) from None
        if answer.status_code != 200:
            raise _refused(answer)
        try:
            return [str(one["id"]) for one in answer.json()["data"]]
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{self.client.base_url} is no OpenAI-compatible server", remedy="Check --url.") from None

    def ask(self, text: str) -> Generator[str, None, None]:
        """Send `text` and yield the answer as it comes; both are kept once the answer has begun.

        Closing the iterator stops the answer on the server. Raises `MadrigalError`; then the turn is not kept
        unless part of the answer was already there.
        """
        import httpx

        turn = {"role": "user", "content": text}
        head = [{"role": "system", "content": self.system}] if self.system else []
        body = {"model": self.model, "messages": [*head, *self.messages, turn], "stream": True}
        started, said = time.perf_counter(), ""
        try:
            with self.client.stream("POST", "/v1/chat/completions", json=body) as answer:
                if answer.status_code != 200:
                    answer.read()
                    raise _refused(answer)
                self.headers = dict(answer.headers)
                for delta in _deltas(answer.iter_lines()):
                    said += delta
                    yield delta
        except httpx.TransportError as error:
            raise _unreachable(self.client, error) from None
        finally:
            self.took_s = time.perf_counter() - started
            if said:
                self.messages += [turn, {"role": "assistant", "content": said}]

    def footer(self) -> str:
        """One line about the last answer: decision, expert, strategy, cache, attempts, time."""
        parts = [self.headers.get(f"x-madrigal-{name}", "") for name in ("decision", "expert", "strategy")]
        shown = " → ".join(part for part in parts[:2] if part)
        extra = [parts[2]] if parts[2] not in ("", "single") else []
        if (attempts := self.headers.get("x-madrigal-attempts", "1")) != "1":
            extra.append(f"{attempts} attempts")
        if cache := self.headers.get("x-madrigal-cache"):
            extra.append(f"cache {cache}")
        return " · ".join([shown or self.model, *extra, f"{self.took_s:.1f} s"])


def _converse(talk: Talk, *, decision: bool) -> None:
    console, remarks, typed = out(), err(), sys.stdin.isatty()
    if typed:
        import readline  # noqa: F401 - gives input() history and editing

        remarks.print(f"[bold]{talk.model}[/] at {talk.client.base_url}  [dim]{HELP}[/]")
    while (line := _read(typed)) is not None:
        try:
            ended = _turn(talk, line, console, remarks, decision=decision)
        except KeyboardInterrupt:  # beside the answer itself
            if not typed:
                raise
            continue
        if ended == "quit":
            return
        if ended == "failed" and not typed:
            raise typer.Exit(2)


def _turn(talk: Talk, line: str, console: Any, remarks: Any, *, decision: bool) -> Literal["quit", "failed", "done"]:
    """Do what one line asks: `quit`, `failed` or `done`."""
    try:
        if line.startswith("/"):
            return "done" if _command(talk, line) else "quit"
        if line.strip():
            _answer(talk, line, console, remarks, decision=decision)
    except MadrigalError as error:
        remarks.print(f"error: {error}", markup=False)
        return "failed"
    return "done"


def _read(typed: bool) -> str | None:
    """The next line, or None at the end; a Ctrl-C at the prompt only clears the line."""
    while typed:
        try:
            return input("› ")
        except EOFError:
            print()
            return None
        except KeyboardInterrupt:
            print("  (/quit ends)")
    line = sys.stdin.readline()
    return line.rstrip("\n") if line else None


def _answer(talk: Talk, line: str, console: Any, remarks: Any, *, decision: bool) -> None:
    """Show one answer. Raises `MadrigalError` where there is none."""
    answer = talk.ask(line)
    try:
        for delta in answer:
            console.out(delta, end="")
        console.out("")
    except KeyboardInterrupt:
        answer.close()
        console.out(" …")
        remarks.print("[dim]stopped[/]")
        return
    if decision:
        remarks.print(talk.footer(), style="dim", markup=False)


def _command(talk: Talk, line: str) -> bool:
    """Obey a line that starts with a slash; False to end the chat."""
    remarks = err()
    word, _, rest = line.strip().partition(" ")
    match word:
        case "/quit" | "/exit" | "/q":
            return False
        case "/new":
            talk.messages.clear()
            remarks.print("[dim]a new conversation[/]")
        case "/model":
            known = talk.models()
            if rest.strip() in known:
                talk.model = rest.strip()
                remarks.print(f"[dim]{talk.model} answers now[/]")
            else:
                remarks.print(f"models: {', '.join(known)}", markup=False)
        case _:
            remarks.print(HELP, markup=False)
    return True


def _deltas(lines: Iterator[str]) -> Iterator[str]:
    """The text of every server-sent event. Raises `EngineDownError` for an error frame or a stream without end."""
    for line in lines:
        if not line.startswith("data:"):
            continue
        data = line[5:].strip()
        if data == "[DONE]":
            return
        frame = json.loads(data)
        if "error" in frame:
            raise EngineDownError(f"the answer broke off: {frame['error'].get('message', data)}")
        for choice in frame.get("choices", []):
            if text := choice.get("delta", {}).get("content"):
                yield text
    raise EngineDownError("the answer broke off: the server closed the stream before its end")


def _unreachable(client: "httpx.Client", error: Exception) -> MadrigalError:
    return EngineDownError(
        f"no server answers at {client.base_url} ({error}).",
        remedy="Start one with `madrigal serve`, or name another with --url.",
    )


def _refused(answer: "httpx.Response") -> MadrigalError:
    try:
        message = answer.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = f"the server answered {answer.status_code}"
    if answer.status_code == 401:
        return AuthenticationError(message, remedy="Give a key with --key or in MADRIGAL_API_KEY.")
    return InputError(message)
