"""What the engine and the transports count and time. coordinator/metrics/README.md says what each is good for."""

from __future__ import annotations

from actp.observing import Counter, Gauge, Histogram

__all__ = [
    "ALL",
    "RPC_CHOSEN",
    "RPC_ERRORS",
    "RPC_LAG",
    "RPC_REQUESTS",
    "RPC_SCORE",
    "RPC_SECONDS",
    "TX_CONFIRMED",
    "TX_DEAD",
    "TX_LATENCY",
    "TX_REPLACED",
    "TX_SIGNED",
    "TX_SIGN_SECONDS",
    "TX_SUBMIT_SECONDS",
    "endpoint_of",
]

_MINUTES = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)

TX_SIGNED = Counter("actp_tx_signed", "Calls that got a nonce and a signature, which are stored before they are sent")
TX_REPLACED = Counter("actp_tx_replaced", "Further signatures of the same nonce, with higher fees")
TX_CONFIRMED = Counter("actp_tx_confirmed", "Calls that were found in a sealed block", ("result",))
TX_DEAD = Counter("actp_tx_dead", "Calls that were given up with nothing sent", ("code",))
TX_LATENCY = Histogram(
    "actp_tx_confirmation_latency_seconds", "From the first signature of a call to its sealed block", buckets=_MINUTES
)
TX_SIGN_SECONDS = Histogram("actp_tx_sign_seconds", "Signing one eth transaction, a key service's time included")
TX_SUBMIT_SECONDS = Histogram("actp_tx_submit_seconds", "Giving a batch of signed bytes to the node")

RPC_REQUESTS = Counter("actp_rpc_requests", "JSON-RPC calls over HTTP, those of batches too", ("endpoint", "method"))
RPC_ERRORS = Counter("actp_rpc_errors", "Errors in answers, and exchanges without any", ("endpoint", "reason"))
RPC_SECONDS = Histogram("actp_rpc_request_seconds", "One exchange over HTTP, of one call or a batch", ("endpoint",))
RPC_CHOSEN = Counter("actp_rpc_endpoint_chosen", "Reads that the pool gave to an endpoint", ("endpoint",))
RPC_SCORE = Gauge("actp_rpc_endpoint_score", "Health of an endpoint of the pool, 0 to 100", ("endpoint",), lowest=True)
RPC_LAG = Gauge("actp_rpc_endpoint_behind_blocks", "By how many blocks an endpoint was behind", ("endpoint",))

ALL: tuple[Counter | Histogram | Gauge, ...] = (
    TX_SIGNED,
    TX_REPLACED,
    TX_CONFIRMED,
    TX_DEAD,
    TX_LATENCY,
    TX_SIGN_SECONDS,
    TX_SUBMIT_SECONDS,
    RPC_REQUESTS,
    RPC_ERRORS,
    RPC_SECONDS,
    RPC_CHOSEN,
    RPC_SCORE,
    RPC_LAG,
)
"""Everything above."""


def endpoint_of(label: str) -> str:
    """How metrics call a transport: its label without the setting that it came from."""
    return label.partition(" (from ")[0]
