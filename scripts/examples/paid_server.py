"""An API that costs money, on this machine: it says what an answer costs at most, and charges what it did cost.

    POST /answers          {"prompt": ...}, with an Idempotency-Key
                           402 and the header Price, unless the header Max-Price allows it; else 200 {"answer", "cost"}
    DELETE /answers/KEY    whatever was not charged for this key by now never will be: 200 {"cost"}

Every fifth answer or so goes wrong, each in its own way, as with real ones: `Fault`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from decimal import Decimal
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

__all__ = ["Fault", "PaidServer", "fault_of", "price_of"]

_MICRO = 1_000_000


class Fault(Enum):
    """What goes wrong with an answer."""

    NONE = "nothing"
    REFUSED = "an error, and nothing is charged"
    BROKEN = "it is charged, and then comes an error"
    CUT = "it is charged, and the connection ends"
    SILENT = "it is charged, and the answer comes too late"
    LATE = "it is charged when nobody waits any more, unless its key is closed by then"


_FAULTS = (
    *(Fault.NONE,) * 8, Fault.REFUSED, Fault.BROKEN, Fault.CUT, Fault.SILENT, Fault.LATE,
)  # fmt: skip


def price_of(prompt: str) -> int:
    """What an answer to it costs at most, in millionths of a dollar."""
    return 10_000 + 150 * len(prompt)


def fault_of(key: str) -> Fault:
    """What goes wrong with the answer of this key: always the same."""
    return _FAULTS[int.from_bytes(hashlib.sha256(key.encode()).digest()[:4]) % len(_FAULTS)]


class PaidServer:
    """Serves on 127.0.0.1 while it is open. `slow_seconds` is longer than its clients wait."""

    def __init__(self, slow_seconds: float = 1.0) -> None:
        self._slow_seconds = slow_seconds
        self._lock = threading.Lock()
        self._charged: dict[str, int] = {}
        self._closed: set[str] = set()
        self._ended = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server._answer(self)

            def do_DELETE(self) -> None:
                server._close(self)

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = False  # so that closing it waits for what is under way
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="paid server")

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def account(self) -> int:
        """What it has charged in all, in millionths of a dollar."""
        with self._lock:
            return sum(self._charged.values())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        prompt, key = str(body["prompt"]), str(request.headers["Idempotency-Key"])
        price = price_of(prompt)
        allowed = request.headers.get("Max-Price")
        if allowed is None or Decimal(allowed) * _MICRO < price:
            _reply(request, 402, {"error": "It costs money."}, {"Price": _dollars(price)})
            return
        # What it takes is known when it is done: here, less than the most that it could have been.
        cost = price - price // 7
        fault = fault_of(key)
        if fault is Fault.REFUSED:
            _reply(request, 500, {"error": "It has not begun."})
            return
        if fault is Fault.LATE:
            self._ended.wait(self._slow_seconds)
        if not self._charge(key, cost):
            _reply(request, 409, {"error": "This key is closed."})
            return
        if fault is Fault.BROKEN:
            _reply(request, 500, {"error": "It has failed on the way."})
            return
        if fault is Fault.CUT:
            request.close_connection = True
            return
        if fault is Fault.SILENT:
            self._ended.wait(self._slow_seconds)
        _reply(request, 200, {"answer": prompt[::-1], "cost": _dollars(cost)})

    def _charge(self, key: str, cost: int) -> bool:
        with self._lock:
            if key in self._closed:
                return False
            self._charged.setdefault(key, cost)
            return True

    def _close(self, request: BaseHTTPRequestHandler) -> None:
        key = request.path.rpartition("/")[2]
        with self._lock:
            self._closed.add(key)
            cost = self._charged.get(key, 0)
        _reply(request, 200, {"cost": _dollars(cost)})


def _reply(
    request: BaseHTTPRequestHandler, status: int, content: dict[str, str], headers: dict[str, str] | None = None
) -> None:
    data = json.dumps(content).encode()
    try:
        request.send_response(status)
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)
    except (BrokenPipeError, ConnectionResetError):
        request.close_connection = True  # nobody waits for it any more


def _dollars(micros: int) -> str:
    return f"{Decimal(micros) / _MICRO:f}"
