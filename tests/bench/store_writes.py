"""CPU the log costs per request, and how long it holds the event loop.

    .venv/bin/python -m tests.bench.store_writes [URL]        (default: an SQLite file in a temporary folder)

Each record is a request with the signals of its decision, one call and its share of the usage table.
"""

import asyncio
import os
import sys
import tempfile
import time

from orchestrator.store.recorder import Recorder
from orchestrator.store.records import CallRecord, RequestRecord
from orchestrator.store.store import Store

RATES = (0, 50, 500, 1000)  # requests a second; 0 first: what the measuring loop costs by itself
SECONDS = 5.0
STEP_S = 0.02


def record(number: int) -> RequestRecord:
    signal = {"computed": True, "matched": True, "value": 0.3, "label": None, "confidence": 0.5, "ms": 0.01}
    return RequestRecord(
        id=os.urandom(12).hex(),
        created_at=time.time(),
        path="chat/completions",
        key_id=f"key_{number % 3}",
        policy="auto",
        decision=f"d{number % 10}",
        strategy="single",
        expert=f"e{number % 4}",
        features={"signals": {f"s{n}": signal for n in range(5)}},
        calls=(CallRecord(f"e{number % 4}", "0123456789abcdef", prompt_tokens=20, completion_tokens=50, total_s=0.2),),
    )


async def measure(store: Store, rate: int) -> tuple[float, list[float]]:
    """CPU seconds of the whole process, and by how much each sleep of the loop came late."""
    recorder = Recorder(store, retention_days=None)
    recorder.start()
    records = [record(number) for number in range(int(rate * SECONDS))]
    late_s: list[float] = []
    cpu_s, start, put = time.process_time(), time.perf_counter(), 0
    while (now_s := time.perf_counter() - start) < SECONDS:
        while put < min(len(records), int(now_s * rate)):
            recorder.put(records[put])
            put += 1
        before = time.perf_counter()
        await asyncio.sleep(STEP_S)
        late_s.append(time.perf_counter() - before - STEP_S)
    assert await recorder.flush(10) and recorder.written == put
    cpu_s = time.process_time() - cpu_s
    await recorder.close()
    return cpu_s, sorted(late_s)


async def main(url: str) -> None:
    store = await Store.open(url)
    print(f"{'requests/s':>10} {'CPU µs/request':>15} {'loop late p50 ms':>17} {'p99 ms':>7}")
    idle_s = 0.0
    for rate in RATES:
        cpu_s, late_s = await measure(store, rate)
        if rate == 0:
            idle_s = cpu_s
            continue
        p50, p99 = (late_s[int(len(late_s) * q)] * 1e3 for q in (0.5, 0.99))
        print(f"{rate:>10} {(cpu_s - idle_s) / (rate * SECONDS) * 1e6:>15.0f} {p50:>17.2f} {p99:>7.2f}")
    await store.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder}/madrigal.db"))
