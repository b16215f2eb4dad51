"""Simon Willison's llm by its Python API; the model is in LLM_USER_PATH/extra-openai-models.yaml. Prints JSON."""

import asyncio
import json
import sys
from typing import Any

import llm


async def main(name: str) -> dict[str, Any]:
    """A prompt, a conversation that remembers, a schema, a tool, the asynchronous model."""
    model = llm.get_model(name)
    told: dict[str, Any] = {"prompt": model.prompt("hello").text()}
    conversation = model.conversation()
    conversation.prompt("hello").text()
    told["again"] = conversation.prompt("again").text()
    told["usage"] = model.prompt("hello", stream=False).usage().input
    smol = llm.get_model(f"{name}-smol")
    schema = {**llm.schema_dsl("yes bool"), "additionalProperties": False}
    told["schema"] = json.loads(smol.prompt("Is Paris in France?", schema=schema, temperature=0, max_tokens=40).text())
    told["async"] = await (await llm.get_async_model(name).prompt("hello")).text()
    return told


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1]))))
