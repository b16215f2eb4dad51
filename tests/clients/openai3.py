"""OpenAI's client of the third generation, which our environment cannot hold beside the second: run with its folder in
PYTHONPATH and the server's base URL as the argument. Prints what it saw as JSON."""

import json
import sys
from typing import Any

import openai
from pydantic import BaseModel

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER: Any = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}
HELLO: Any = [{"role": "user", "content": "hello"}]


class Answer(BaseModel):
    """What the model is held to."""

    yes: bool


def main(url: str) -> dict[str, Any]:
    """Everything that an application does, once."""
    told: dict[str, Any] = {"version": openai.__version__}
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=300) as client:
        chat = client.chat.completions.create(model="auto", messages=HELLO)
        told["chat"] = chat.choices[0].message.content
        stream = client.chat.completions.create(
            model="auto", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
        told["stream"] = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        told["usage"] = chunks[-1].usage.total_tokens
        called = client.chat.completions.create(
            model="smol",
            messages=[{"role": "user", "content": "What is the weather in Paris?"}],
            tools=[WEATHER],
            tool_choice={"type": "function", "function": {"name": "get_weather"}},
            temperature=0,
            max_tokens=80,
        )
        told["tool"] = json.loads(called.choices[0].message.tool_calls[0].function.arguments)["city"]
        parsed = client.chat.completions.parse(
            model="smol", messages=HELLO, response_format=Answer, temperature=0, max_tokens=40
        )
        told["parsed"] = parsed.choices[0].message.parsed.yes
        told["completion"] = client.completions.create(model="auto", prompt="Once").choices[0].text
        told["response"] = client.responses.create(model="auto", input="hello").output_text
        told["embedding"] = len(client.embeddings.create(model="all-MiniLM-L6-v2", input="hello").data[0].embedding)
        told["models"] = [model.id for model in client.models.list()][:2]
        try:
            client.chat.completions.create(model="nobody", messages=HELLO)
        except openai.NotFoundError as error:
            told["error"] = error.code
        try:
            list(client.chat.completions.create(model="cut", messages=HELLO, stream=True))
        except openai.APIError as error:
            told["cut"] = type(error).__name__
    return told


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
