"""An HTTP endpoint that misbehaves as told, for clients in this process and in others."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any

from actp.chain.loopback import LoopbackServer
from actp.errors import RpcError, RpcUnavailable
from actp.rpc import HttpTransport, Transport
from actp.testing.faults import Disconnect, HttpFailure
from actp.testing.script import Script

__all__ = ["FaultProxy"]

_INVALID_REQUEST = -32600
_PARSE_ERROR = -32700


class FaultProxy(Script):
    """A real HTTP server on 127.0.0.1 between clients and a node, from `start` to `stop` or in a `with` block.

        with FaultProxy(anvil) as proxy:
            proxy.once("eth_sendRawTransaction", lose_reply())
            client = ACTPClient.create(network=Network.ANVIL, rpc_url=proxy.url, ...)

    `node` is a Transport, or the URL of a node. Faults are set and counted as in `FaultyTransport`. After `stop` the
    same proxy can be started again, on the same port: an endpoint that was down for a while.
    """

    def __init__(self, node: Transport | str, *, port: int = 0) -> None:
        super().__init__(HttpTransport(node) if isinstance(node, str) else node)
        self._port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where clients find it, once it was started."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Serves from a thread of its own, and returns at once. Raises OSError if the port is taken."""
        server = self._server = _Server(("127.0.0.1", self._port), self)
        self._port = int(server.server_address[1])
        self._thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="fault-proxy", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stops listening, and breaks every connection."""
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        server.shutdown()
        self._thread.join()
        server.server_close()
        server.close_connections()

    def __enter__(self) -> FaultProxy:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class _Server(LoopbackServer):
    def __init__(self, address: tuple[str, int], script: Script) -> None:
        self.script = script
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet for head and body
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        try:
            message = json.loads(body)
        except ValueError:
            self._answer(_error(None, RpcError(_PARSE_ERROR, "parse error")))
            return
        single = not isinstance(message, list)
        bodies = [message] if single else message
        if not bodies or not all(_is_call(one) for one in bodies):
            self._answer(_error(None, RpcError(_INVALID_REQUEST, "invalid request")))
            return
        try:
            results = self.server.script.exchange([(one["method"], one.get("params", [])) for one in bodies])
        except Disconnect:
            self.close_connection = True
        except HttpFailure as failure:
            self._fail(failure.status)
        except RpcUnavailable as error:
            self._fail(429 if error.code == "rate_limited" else 502)
        else:
            answers = [_answer(one, result) for one, result in zip(bodies, results, strict=True)]
            self._answer(answers[0] if single else answers)

    def handle(self) -> None:
        with suppress(ConnectionError):  # clients that were killed, or that stopped waiting
            super().handle()

    def _answer(self, content: Any) -> None:
        self._write(200, "application/json", json.dumps(content).encode())

    def _fail(self, status: int) -> None:
        self._write(status, "text/html", f"<html><body>{status}</body></html>".encode())

    def _write(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: the proxy counts what it sees."""


def _is_call(message: Any) -> bool:
    return isinstance(message, dict) and isinstance(message.get("method"), str)


def _answer(call: dict[str, Any], result: Any) -> dict[str, Any]:
    if isinstance(result, RpcError):
        return _error(call.get("id"), result)
    return {"jsonrpc": "2.0", "id": call.get("id"), "result": result}


def _error(call_id: Any, error: RpcError) -> dict[str, Any]:
    content: dict[str, Any] = {"code": error.rpc_code, "message": error.message}
    if error.data is not None:
        content["data"] = error.data
    return {"jsonrpc": "2.0", "id": call_id, "error": content}
