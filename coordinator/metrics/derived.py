"""Spans as OpenTelemetry has them, with ids that follow from what they are about. Needs the extra `traces`."""

from __future__ import annotations

import threading

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

from coordinator.metrics.tracing import ids_of
from coordinator.spans import Span

__all__ = ["DerivedIds", "OpenTelemetry"]

_NANOS = 1_000_000_000


class _Next(threading.local):
    ids: tuple[int, int] | None = None


_next = _Next()
"""The ids of the span that this thread is about to make, if they are not random."""


class DerivedIds(RandomIdGenerator):
    """Random ids, but for a purchase's first span."""

    def generate_trace_id(self) -> int:
        """A trace's id is only asked for where a span has no parent."""
        return super().generate_trace_id() if _next.ids is None else _next.ids[0]

    def generate_span_id(self) -> int:
        """The span's own."""
        return super().generate_span_id() if _next.ids is None else _next.ids[1]


class OpenTelemetry:
    """A tracer over a provider. One without `DerivedIds` has the same traces, whose first span is missing."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("actp-escrow")
        self._derives = isinstance(provider.id_generator, DerivedIds)

    def ended(self, span: Span) -> None:
        """See `Tracer`."""
        trace_id, span_id = ids_of(span.transaction_id)
        first = span.first and self._derives
        parent = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
        empty = trace.set_span_in_context(trace.INVALID_SPAN)
        around = trace.get_current_span().get_span_context()  # whatever the calling program itself is tracing
        _next.ids = (trace_id, span_id) if first else None
        try:
            made = self._tracer.start_span(
                span.name,
                context=empty if first else trace.set_span_in_context(NonRecordingSpan(parent), empty),
                kind=SpanKind.INTERNAL,
                attributes={"actp.transaction_id": span.transaction_id}
                | {f"actp.{name}": value for name, value in span.attributes.items()},
                links=[Link(around)] if around.is_valid else None,
                start_time=int(span.started_at * _NANOS),
            )
        finally:
            _next.ids = None
        if span.error:
            made.set_status(StatusCode.ERROR, span.error)
        made.end(int(max(span.started_at, span.ended_at) * _NANOS))
