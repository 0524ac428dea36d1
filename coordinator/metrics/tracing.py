"""Traces of purchases with OpenTelemetry, which is imported only when they are wanted.

The trace of a purchase has an id that follows from its ACTP transaction's, and so has the span that the others belong
below: the agent's process, the worker and the bot have one trace without telling one another anything.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from actp.errors import ConfigError
from coordinator import spans

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["ENDPOINT_VARIABLE", "ids_of", "provider_for", "traced_to", "tracing"]

ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_EXPORTER_VARIABLE = "OTEL_TRACES_EXPORTER"
_EXTRA = "actp-escrow[traces]"
_CLOSING_SECONDS = 5.0

_log = logging.getLogger(__name__)


def ids_of(transaction_id: str) -> tuple[int, int]:
    """Trace id and the first span's id of an ACTP transaction: 128 and 64 bits of the hash of its 32 bytes."""
    digest = hashlib.sha256(bytes.fromhex(transaction_id.removeprefix("0x"))).digest()
    # Ids of zeros are invalid; no hash that anybody will see has any.
    return int.from_bytes(digest[:16]), int.from_bytes(digest[16:24])


@contextmanager
def tracing(service: str, *, wanted: bool = False, environment: Mapping[str, str] | None = None) -> Iterator[None]:
    """Sends traces of what runs within it, if they are `wanted` or the environment names an endpoint. Raises
    ConfigError if they are wanted and the extra `traces` is missing.

    The variables are OpenTelemetry's own. OTEL_TRACES_EXPORTER may also be "console" or "none".
    """
    values = os.environ if environment is None else environment
    exporter = values.get(_EXPORTER_VARIABLE, "")
    named = any(values.get(name) for name in (ENDPOINT_VARIABLE, _TRACES_ENDPOINT))
    if exporter == "none" or not (wanted or named):
        yield
        return
    try:
        provider = provider_for(service, _exporter(exporter))
    except ImportError as error:
        if wanted:
            raise ConfigError("Traces need OpenTelemetry.", hint=f"pip install '{_EXTRA}'") from error
        _log.warning("No traces are sent, though the environment names an endpoint: pip install '%s'", _EXTRA)
        yield
        return
    with traced_to(provider):
        yield


def provider_for(service: str, exporter: SpanExporter) -> TracerProvider:
    """A provider whose first spans have the ids that follow from their purchase. Raises ImportError."""
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from coordinator.metrics.derived import DerivedIds

    # OTEL_SERVICE_NAME comes before the name that is given here.
    resource = Resource.create() if os.environ.get("OTEL_SERVICE_NAME") else Resource.create({SERVICE_NAME: service})
    provider = TracerProvider(resource=resource, id_generator=DerivedIds(), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


@contextmanager
def traced_to(provider: TracerProvider) -> Iterator[None]:
    """Gives spans to a provider, and closes it in the end: what is left is sent, for a few seconds at most."""
    from coordinator.metrics.derived import OpenTelemetry

    tracer = OpenTelemetry(provider)
    spans.trace_to(tracer)
    try:
        yield
    finally:
        spans.untrace(tracer)
        # An endpoint that does not answer must not keep a program from ending.
        closing = threading.Thread(target=provider.shutdown, name="coordinator-traces", daemon=True)
        closing.start()
        closing.join(_CLOSING_SECONDS)


def _exporter(name: str) -> SpanExporter:
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()
