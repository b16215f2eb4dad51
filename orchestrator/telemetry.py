"""Every metric and span of Madrigal, named here and nowhere else. Knows nothing of what it counts.

Names follow OpenTelemetry's GenAI conventions where they have one (`gen_ai.server.request.duration`, written with
underscores and the unit for Prometheus). Spans are made only where an OpenTelemetry SDK is installed and configured:
by `configure_tracing`, which `madrigal serve` calls, or by whoever wraps the server (`opentelemetry-instrument`).
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
ROUTE_SECONDS = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)

OPERATIONS = {"chat/completions": "chat", "completions": "text_completion", "embeddings": "embeddings"}
"""`gen_ai.operation.name` of each path that an expert or the embedder answers."""

_EXPORTERS = {"otlp": "otlp_proto_http", "otlp:http/protobuf": "otlp_proto_http", "otlp:grpc": "otlp_proto_grpc"}

log = logging.getLogger("madrigal.telemetry")

Reading = tuple[str, str, Iterable[tuple[Mapping[str, str], float]]]
"""Name, help and (labels, value) rows of a gauge that is read when it is scraped."""


class Telemetry:
    """The metrics of one server, in a registry of their own, and its tracer.

    Labels are bounded: policies, decisions, experts and strategies of the configuration, never what a client sent.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self._duration = Histogram(
            "gen_ai_server_request_duration_seconds",
            "Time from a request's arrival to the end of its answer",
            ("operation", "decision", "expert", "outcome"),
            buckets=SECONDS,
            registry=registry,
        )
        self._first_token = Histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "Time from a request's arrival to the first byte of its answer",
            ("operation", "expert"),
            buckets=SECONDS,
            registry=registry,
        )
        self._tokens = Histogram(
            "gen_ai_client_token_usage",
            "Tokens per call",
            ("type", "expert"),
            buckets=TOKENS,
            registry=registry,
        )
        self._calls = Counter("madrigal_calls", "Calls to experts", ("expert", "outcome"), registry=registry)
        self._cost = Counter("madrigal_cost_usd", "Cost of the calls in US dollars", ("expert",), registry=registry)
        self._route = Histogram(
            "madrigal_route_seconds", "Time to choose", ("policy",), buckets=ROUTE_SECONDS, registry=registry
        )
        self._refused = Counter(
            "madrigal_requests_refused", "Requests that reached no expert", ("code",), registry=registry
        )
        self.in_flight = Gauge("madrigal_requests_in_flight", "Requests being answered", registry=registry)
        ProcessCollector(registry=registry)  # memory, CPU and open files, by their usual names
        self._children: dict[tuple[Any, ...], Any] = {}
        configured = not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
        self._tracer = trace.get_tracer("madrigal") if configured else None

    def answered(
        self, operation: str, decision: str, expert: str, outcome: str, total_s: float, first_token_s: float | None
    ) -> None:
        """One request is over."""
        self._child(self._duration, operation, decision, expert, outcome).observe(total_s)
        if first_token_s is not None:
            self._child(self._first_token, operation, expert).observe(first_token_s)

    def called(self, expert: str, outcome: str, prompt_tokens: int, completion_tokens: int, cost_usd: float) -> None:
        """One call to an expert is over."""
        self._child(self._calls, expert, outcome).inc()
        if prompt_tokens or completion_tokens:
            self._child(self._tokens, "input", expert).observe(prompt_tokens)
            self._child(self._tokens, "output", expert).observe(completion_tokens)
        if cost_usd:
            self._child(self._cost, expert).inc(cost_usd)

    def routed(self, policy: str, seconds: float) -> None:
        """One decision was made."""
        self._child(self._route, policy).observe(seconds)

    def refused(self, code: str) -> None:
        """A request ended before any expert was called."""
        self._child(self._refused, code).inc()

    def _child(self, metric: Any, *labels: str) -> Any:
        """`metric.labels(*labels)`, remembered: the library's own look-up takes a lock each time."""
        key = (metric, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child

    def read_on_scrape(self, read: Callable[[], Iterable[Reading]]) -> None:
        """Add gauges whose values `read` returns each time the metrics are scraped."""
        self.registry.register(_Read(read))

    def exposition(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def start_span(
        self,
        name: str,
        attributes: Mapping[str, str | int | float | bool],
        *,
        headers: Mapping[str, str] | None = None,
        parent: Span | None = None,
    ) -> Span | None:
        """Begin a span: of a request (its parent is read from the client's `headers`) or of a call (under `parent`).

        Whoever began it ends it, with `end_span`. None, at no cost, where no OpenTelemetry SDK was configured when this
        object was made. The span
        is never made current: a stream's generator runs in other contexts than the request that began it.
        """
        if self._tracer is None:
            return None
        context: Context | None = None
        if headers is not None:
            context = propagate.extract(dict(headers))
        elif parent is not None:
            context = trace.set_span_in_context(parent)
        kind = SpanKind.CLIENT if headers is None else SpanKind.SERVER
        return self._tracer.start_span(name, context=context, kind=kind, attributes=dict(attributes))


def configure_tracing(environ: Mapping[str, str] = os.environ) -> Callable[[], None] | None:
    """Set OpenTelemetry's SDK up for this process, as its own environment variables ask; before `Telemetry` is made.

    Done where `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`) or `OTEL_TRACES_EXPORTER` is set, the latter to
    `otlp`, `console`, another installed exporter's name, or several with commas between. Nothing is done where it is
    `none`, where `OTEL_SDK_DISABLED` is `true`, or where a provider was set before. Where the packages are missing
    (`pip install 'madrigal[otel]'`) a warning says so, and the server goes on without spans. Protocol, headers,
    sampler, batch and resource are read from their variables by the SDK itself; the service is called `madrigal` unless
    `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` says otherwise.

    Starts a thread that exports, and connects to nothing yet. Returns what exports the rest and ends that thread, which
    blocks for seconds at most; None where nothing was set up.
    """
    endpoint = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    wanted = environ.get("OTEL_TRACES_EXPORTER", "").strip() or ("otlp" if endpoint else "none")
    off = wanted.lower() == "none" or environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if off or not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        exporters = [_exporter(name.strip(), environ) for name in wanted.split(",") if name.strip()]
    except ImportError as missing:
        log.warning("no spans are exported: %s. Install what exports them: pip install 'madrigal[otel]'", missing)
        return None
    named = environ.get("OTEL_SERVICE_NAME") or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    provider = TracerProvider(resource=Resource.create({} if named else {"service.name": "madrigal"}))
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter()))
    trace.set_tracer_provider(provider)
    return provider.shutdown


def _exporter(name: str, environ: Mapping[str, str]) -> Any:
    """The class of an exporter by the name that OpenTelemetry's variables use. Raises `ImportError`."""
    if name == "otlp":
        protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        name = _EXPORTERS.get(f"otlp:{protocol}" if protocol else "otlp", f"otlp with the protocol {protocol}")
    for entry in entry_points(group="opentelemetry_traces_exporter", name=name):
        return entry.load()
    raise ImportError(f"the exporter {name!r} is not installed")


def end_span(
    span: Span | None, attributes: Mapping[str, Any], error: str | None = None, *, at_fault: bool = True
) -> None:
    """Add what became known (None values are left out) and end the span.

    `error` is the error's code; the span's status says error only where we are `at_fault`: a client's mistake, or its
    leaving, is none of the server's.
    """
    if span is None:
        return
    for name, value in attributes.items():
        if value is not None:
            span.set_attribute(name, value)
    if error is not None:
        span.set_attribute("error.type", error)
        if at_fault:
            span.set_status(Status(StatusCode.ERROR, error))
    span.end()


def trace_headers(span: Span | None) -> dict[str, str]:
    """Headers that let an engine continue the trace."""
    if span is None:
        return {}
    carrier: dict[str, str] = {}
    propagate.inject(carrier, context=trace.set_span_in_context(span))
    return carrier


class _Read:
    def __init__(self, read: Callable[[], Iterable[Reading]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        for name, text, rows in self._read():
            rows = list(rows)
            labels = list(rows[0][0]) if rows else []
            family = GaugeMetricFamily(name, text, labels=labels)
            for row, value in rows:
                family.add_metric([row[label] for label in labels], value)
            yield family

    def describe(self) -> Iterator[Metric]:
        return iter(())
