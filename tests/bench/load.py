"""A closed-loop load on raw sockets, so that the generator costs next to nothing. Knows nothing of what it loads."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Load:
    """What a run saw: latencies and times to the first byte of the body in seconds, statuses with their counts."""

    seconds: float
    latency: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    status: dict[int, int] = field(default_factory=dict)

    def ms(self, share: float, *, first: bool = False) -> float:
        """A quantile of the latency (or the time to the first byte) in ms."""
        values = sorted(self.first if first else self.latency)
        return values[min(len(values) - 1, int(share * len(values)))] * 1e3 if values else float("nan")

    @property
    def answered(self) -> int:
        """Answers with status 200, warm-up included."""
        return self.status.get(200, 0)


def request(url: str, key: str, *, model: str, stream: bool, text: str = "hello world") -> bytes:
    """One HTTP request as bytes."""
    body: dict[str, object] = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 64}
    if stream:
        body["stream"] = True
    raw = json.dumps(body).encode()
    where = urlsplit(url)
    head = f"POST {where.path} HTTP/1.1\r\nhost: {where.netloc}\r\nauthorization: Bearer {key}\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(raw)}\r\n\r\n".encode() + raw


async def run(
    url: str, key: str, *, seconds: float, at_once: int, stream: bool, model: str = "auto", warm_s: float = 1.0
) -> Load:
    """Keep `at_once` requests in flight for `seconds` after `warm_s` of warming up."""
    where = urlsplit(url)
    wire = request(url, key, model=model, stream=stream)
    load = Load(seconds)
    begin = time.perf_counter() + warm_s
    end = begin + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=1 << 20)
        while (sent := time.perf_counter()) < end:
            writer.write(wire)
            status, first = await _answer(reader)
            done = time.perf_counter()
            load.status[status] = load.status.get(status, 0) + 1
            if sent >= begin:
                load.latency.append(done - sent)
                load.first.append(first - sent)
        writer.close()

    await asyncio.gather(*(one() for _ in range(at_once)))
    return load


async def _answer(reader: asyncio.StreamReader) -> tuple[int, float]:
    """Read one response; its status and when its body began."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    at = head.find(b"content-length:")
    if at >= 0:
        await reader.readexactly(int(head[at + 15 : head.find(b"\r\n", at)]))
        return int(head[9:12]), time.perf_counter()
    first = 0.0
    while size := int((await reader.readline()).strip(), 16):
        await reader.readexactly(size + 2)
        first = first or time.perf_counter()
    await reader.readline()
    return int(head[9:12]), first or time.perf_counter()
