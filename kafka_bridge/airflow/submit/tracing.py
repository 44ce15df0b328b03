"""The task's trace as headers of its request."""

from __future__ import annotations

from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from kafka_bridge.protocol.headers import Headers


def trace_headers() -> Headers:
    """Return ``traceparent`` and ``tracestate`` (W3C Trace Context), if there is a trace."""
    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return [(name, text.encode("utf-8")) for name, text in carrier.items()]
