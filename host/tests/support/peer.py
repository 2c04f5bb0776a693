"""A small API for corral-hostd to talk to: heartbeats and events, and faults on demand."""

from __future__ import annotations

import json
import queue
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    import ssl

TOKEN = "node-token-of-the-test"  # noqa: S105


class Peer:
    """It listens on a port of its own until ``close()``."""

    def __init__(self, context: ssl.SSLContext | None = None, port: int = 0) -> None:  # noqa: C901
        self.heartbeats: list[dict[str, Any]] = []
        #: ``Last-Event-ID`` of each connection for events.
        self.connections: list[str | None] = []
        self.tokens: set[str | None] = set()
        self.status = 200
        self.answer: dict[str, Any] = {"interval": 10, "document": None, "spread": 0}
        self.version: str | None = None
        self._listeners: list[queue.Queue[str | None]] = []
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                peer.tokens.add(self.headers["Authorization"])
                if peer.status == 200:
                    peer.heartbeats.append({**json.loads(body), "at": time.monotonic()})
                self._send({"detail": "as told"} if peer.status != 200 else peer.answer)

            def _send(self, value: dict[str, Any]) -> None:
                data = json.dumps(value).encode()
                self.send_response(peer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self) -> None:
                peer.tokens.add(self.headers["Authorization"])
                if peer.status != 200:
                    self._send({"detail": "as told"})
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                self.close_connection = True
                last = self.headers.get("Last-Event-ID")
                listener: queue.Queue[str | None] = queue.Queue()
                peer._listeners.append(listener)
                peer.connections.append(last)
                if peer.version is not None and peer.version != last:
                    listener.put(_event(peer.version, 0))
                while True:
                    text = listener.get()
                    if text is None:
                        return
                    try:
                        self.wfile.write(text.encode())
                    except OSError:
                        return

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def publish(self, version: str, spread: float = 0) -> float:
        """Serve another version; returns when that was."""
        self.version = version
        self.answer = {**self.answer, "document": version}
        for one in self._listeners:
            one.put(_event(version, spread))
        return time.monotonic()

    def drop(self) -> None:
        """Close the connections for events."""
        for one in self._listeners:
            one.put(None)
        self._listeners.clear()

    def close(self) -> None:
        self.drop()
        self._server.shutdown()
        self._server.server_close()


def _event(version: str, spread: float) -> str:
    data = json.dumps({"version": version, "spread": spread})
    return (
        f": keep-alive\n\nevent: other\ndata: 1\n\nevent: document\nid: {version}\ndata: {data}\n\n"
    )


def until(what: str, ask: Callable[[], Any], seconds: float = 10) -> Any:
    """Ask until the answer is true; returns it. Raises ``AssertionError`` with ``what``."""
    end = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.01)
