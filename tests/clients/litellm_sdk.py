"""LiteLLM as a client: run with its folder in PYTHONPATH and the server's base URL as the argument. Prints JSON."""

import json
import sys
from typing import Any

import litellm

HELLO = [{"role": "user", "content": "hello"}]


def main(url: str) -> dict[str, Any]:
    """A chat, a stream, an error."""
    to: dict[str, Any] = {"api_base": url, "api_key": "none", "num_retries": 0}
    told: dict[str, Any] = {}
    chat = litellm.completion(model="openai/auto", messages=HELLO, **to)
    told["chat"] = chat.choices[0].message.content
    stream = litellm.completion(
        model="openai/auto", messages=HELLO, stream=True, stream_options={"include_usage": True}, **to
    )
    chunks = list(stream)
    told["stream"] = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    told["usage"] = [chunk.usage.total_tokens for chunk in chunks if getattr(chunk, "usage", None)]
    try:
        litellm.completion(model="openai/nobody", messages=HELLO, **to)
    except litellm.NotFoundError as error:
        told["error"] = error.status_code
    return told


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
