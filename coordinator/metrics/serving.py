"""The endpoint for Prometheus, and the flags of whoever has one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actp.errors import ConfigError
from coordinator.metrics.tracing import tracing

if TYPE_CHECKING:
    from coordinator.store import Ledger
    from coordinator.store.accounts import Account

__all__ = ["DEFAULT_HOST", "Address", "Served", "add_metrics", "address_of", "serve", "serving"]

DEFAULT_HOST = "127.0.0.1"
_EXTRA = "actp-escrow[metrics]"


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. Port 0 is any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Served:
    """An endpoint that is open."""

    address: Address

    @property
    def url(self) -> str:
        """What Prometheus scrapes."""
        return f"http://{self.address}/metrics"


def address_of(text: str) -> Address:
    """HOST:PORT, [HOST]:PORT for IPv6, or a port alone, which is opened for this machine only. Raises ConfigError."""
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65_536
    if not is_port or (":" in bare and bare == host):
        raise ConfigError(
            f"{text!r} is no address for metrics.",
            hint=f"Write HOST:PORT, or a port alone for {DEFAULT_HOST}; a host may be 0.0.0.0 for all.",
        )
    return Address(bare or DEFAULT_HOST, int(port))


def add_metrics(parser: argparse.ArgumentParser) -> None:
    """`--metrics-address` and `--traces`."""
    parser.add_argument(
        "--metrics-address", metavar="[HOST:]PORT",
        help=f"answer Prometheus there, at /metrics (host: {DEFAULT_HOST}; default: nowhere)",
    )  # fmt: skip
    parser.add_argument(
        "--traces", action="store_true",
        help="send traces to an OpenTelemetry collector (default: if OTEL_EXPORTER_OTLP_ENDPOINT is set)",
    )  # fmt: skip


@contextmanager
def serving(
    arguments: argparse.Namespace, ledger: Ledger, account: Account, *, service: str
) -> Iterator[Served | None]:
    """Metrics and traces of what runs within it, as the flags of `add_metrics` say. `service` is what traces call this
    process. Raises ConfigError before anything runs.
    """
    with ExitStack() as stack:
        served = None
        if arguments.metrics_address is not None:
            served = stack.enter_context(serve(arguments.metrics_address, ledger, account))
        stack.enter_context(tracing(service, wanted=arguments.traces))
        yield served


@contextmanager
def serve(address: Address | str, ledger: Ledger, account: Account) -> Iterator[Served]:
    """Counts, and answers Prometheus, for as long as it is open. Raises ConfigError if the extra `metrics` is missing
    or nobody can listen there.
    """
    where = address_of(address) if isinstance(address, str) else address
    try:
        from prometheus_client import start_http_server
    except ImportError as error:
        raise ConfigError("Metrics need prometheus-client.", hint=f"pip install '{_EXTRA}'") from error
    from coordinator.metrics.exposing import Exported
    from coordinator.metrics.ledger import LedgerReadings

    exported = Exported(LedgerReadings(ledger, account))
    try:
        try:
            server, thread = start_http_server(where.port, where.host, exported.registry)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError(
                f"Nobody can listen at {where}: {reason}.", hint="Give --metrics-address another port."
            ) from error
        try:
            yield Served(Address(where.host, server.server_port))
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
    finally:
        exported.close()
