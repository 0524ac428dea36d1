"""A real HTTP server that alerts are sent to, and that refuses them while it is told to."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Listener:
    """Takes what apprise's json:// sends. `status` is what it answers with; `hold` keeps it from answering."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[dict[str, Any]] = []
        self.tried = 0
        self.hold: threading.Event | None = None
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.tried += 1
                if listener.hold is not None:
                    listener.hold.wait(30)
                if listener.status == 200:
                    listener.got.append(json.loads(body))
                self.send_response(listener.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        """Where to send to, with a secret in its path."""
        return f"json://127.0.0.1:{self._server.server_port}/se3cret-path/token-9f8e7d"

    @property
    def titles(self) -> list[str]:
        return [one["title"] for one in self.got]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.hold is not None:
            self.hold.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
