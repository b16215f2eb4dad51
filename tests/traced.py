"""Serves in a process of its own with spans kept in memory: OpenTelemetry's provider is one per process, and for ever.

    python -m tests.traced FOLDER < JOB.json

The job is `{"models": [names of the scripted engine's models], "requests": [{"body": …, "headers": …, "path"?: …}]}`;
what is printed is `{"spans": [… in the order they ended], "engine": [headers of each call]}`.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.fakes import Upstream
from tests.serving import serving


async def main(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Send every request, one after the other."""
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    trace.set_tracer_provider(provider)
    async with Upstream().running() as upstream:
        experts = "\n".join(
            f'  e{i}: {{backend: openai, url: "{upstream.url}", model: "{model}"}}'
            for i, model in enumerate(job["models"])
        )
        names = ", ".join(f"e{i}" for i in range(len(job["models"])))
        policy = f"experts:\n{experts}\ndecisions: [{{name: rest, use: [{names}]}}]\nfallback: {{backoff_s: 0.01}}\n"
        async with serving(policy, folder) as served:
            for one in job["requests"]:
                path = one.get("path", "/v1/chat/completions")
                await served.http.post(path, json=one["body"], headers=one.get("headers"))
        spans = [json.loads(span.to_json()) for span in memory.get_finished_spans()]
        return {"spans": spans, "engine": upstream.headers}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(Path(sys.argv[1]), json.load(sys.stdin)))))
