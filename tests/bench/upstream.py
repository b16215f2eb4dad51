"""An instant OpenAI-compatible engine on raw asyncio, so that what is measured is the gateway in front of it.

python tests/bench/upstream.py PORT [CHUNKS]
"""

import asyncio
import json
import sys
from typing import Any


def answers(chunks: int) -> tuple[bytes, bytes, bytes]:
    """A whole JSON response; a streamed one's bytes before and after the usage chunk."""
    head = {"id": "chatcmpl-bench", "created": 1700000000, "model": "bench"}
    usage = {"prompt_tokens": 9, "completion_tokens": chunks, "total_tokens": 9 + chunks}
    message = {"role": "assistant", "content": "".join(f" tok{i}" for i in range(chunks))}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = json.dumps({**head, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
    whole = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)

    def piece(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choices = [] if more else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        wire = {**head, "object": "chat.completion.chunk", "choices": choices, **more}
        return chunk(b"data: " + json.dumps(wire).encode() + b"\n\n")

    start = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    deltas = [piece({"role": "assistant", "content": ""}), *(piece({"content": f" tok{i}"}) for i in range(chunks))]
    streamed = start + b"".join(deltas) + piece({}, "stop")
    return whole, streamed, piece({}, usage=usage)


def chunk(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve(port: int, chunks: int) -> None:
    """Answer until killed."""
    whole, streamed, usage = answers(chunks)
    done = chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                at = head.find(b"content-length:")
                body = await reader.readexactly(int(head[at + 15 : head.find(b"\r\n", at)])) if at >= 0 else b"{}"
                wanted = json.loads(body)
                if wanted.get("stream"):
                    asked = (wanted.get("stream_options") or {}).get("include_usage")
                    writer.write(streamed + (usage if asked else b"") + done)
                else:
                    writer.write(whole)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 50))
