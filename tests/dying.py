"""A process that runs a durable strategy and is killed at a call of its choice; the same program takes it up again.

    python -m tests.dying URL FILE STRATEGY PARAMETERS KILL

URL is the store's, FILE gets a line for each call that was answered, KILL is the number of the call, from 1, at which the
process kills itself, once all that was answered is kept; 0: never. It prints answer, usage and notes as JSON.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from experts import registry
from experts.call import Call
from orchestrator.durable import Durable
from orchestrator.store import kept_calls
from orchestrator.store.store import Store
from tests.deliberating import Scripted, job, said


def answered(file: Path) -> list[str]:
    """What was answered so far, over all processes."""
    return file.read_text().splitlines() if file.exists() else []


def note(file: Path, text: str) -> None:
    with file.open("a") as out:
        out.write(f"{text}\n")


async def run(url: str, file: Path, strategy: str, params: str, kill: int) -> None:
    attempts = Scripted(lambda expert, call: "")

    async def reply(expert: str, call: Call) -> str:
        role, number = attempts.made[-1].role, len(attempts.calls)
        done = answered(file)
        while number == kill:
            if len(await kept_calls.kept(store, "thread-1")) == len(done):
                os.kill(os.getpid(), signal.SIGKILL)
            await asyncio.sleep(0.01)
        if kill and number > kill:
            await asyncio.Event().wait()
        text = f"{role}#{1 + sum(line.startswith(f'{role}#') for line in done)}"
        note(file, text)
        return text

    attempts.reply = reply
    store = await Store.open(url)
    module = registry.load("orchestrator.strategies", strategy)
    work = job(reply, attempts=attempts, durable=Durable("thread-1", store))
    answer = await module.run(work, module.Params(**json.loads(params)))
    text = await said(answer)
    usage = answer.usage
    print(
        json.dumps(
            {
                "text": text,
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "notes": work.notes,
                "calls": len(attempts.calls),
            }
        )
    )
    await store.close()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])))
