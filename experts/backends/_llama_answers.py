"""llama.cpp's answers in OpenAI's words: the form of log-probabilities differs. Pure; the requests are `_llama_bodies`."""

from collections.abc import Callable
from typing import Any

from experts.call import Call

Wire = dict[str, Any]


def adapt(call: Call) -> Callable[[Wire], Wire] | None:
    """What to do with every JSON object of the answer, a stream's chunks one after the other; None: nothing."""
    asked = call.body.get("logprobs")
    if asked is None or asked is False:
        return None
    if call.path == "chat/completions":
        most = int(call.body.get("top_logprobs") or 0)
        return lambda wire: _chat(wire, most)
    offsets: dict[int, int] = {}
    return lambda wire: _legacy(wire, int(asked), offsets)


def _chat(wire: Wire, most: int) -> Wire:
    """At most `most` alternatives per token: the server gives one where none was asked for. Token ids are left out."""
    for choice in wire.get("choices") or []:
        for token in (choice.get("logprobs") or {}).get("content") or []:
            token.pop("id", None)
            token["top_logprobs"] = token["top_logprobs"][:most]
            for other in token["top_logprobs"]:
                other.pop("id", None)
    return wire


def _legacy(wire: Wire, most: int, offsets: dict[int, int]) -> Wire:
    """The completions API's own form: parallel lists, alternatives as a mapping, offsets in characters of the text."""
    for choice in wire.get("choices") or []:
        content = (choice.get("logprobs") or {}).get("content")
        if content is None:
            continue
        index = choice.get("index") or 0
        starts = []
        for token in content:
            starts.append(offsets.get(index, 0))
            offsets[index] = starts[-1] + len(token["token"])
        choice["logprobs"] = {
            "tokens": [token["token"] for token in content],
            "token_logprobs": [token["logprob"] for token in content],
            "top_logprobs": [
                {other["token"]: other["logprob"] for other in token["top_logprobs"][:most]} for token in content
            ]
            if most
            else None,
            "text_offset": starts,
        }
    return wire
