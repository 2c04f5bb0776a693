"""A document server over real sockets, with the faults that a client has to survive."""

from __future__ import annotations

import hashlib
import json
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from saltext.corral.config import Settings

MINION = "hv1.example.net"
VERSION = "41-9f2c0a1b2c3d4e5f"
TOKEN = "a-token"  # noqa: S105


def pillar(node: str = MINION, version: str = VERSION) -> dict:
    return {"corral": {"document": version, "node": node, "roles": ["hypervisor"], "site": "fra1"}}


class Server:
    """Answers ``bodies[path]``; ``answer(handler)``, when set, answers instead."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.bodies = {f"/pillar/{MINION}": pillar(), f"/tops/{MINION}": {"base": ["corral"]}}
        self.node = MINION
        self.version = VERSION
        self.requests: list = []
        self.reports: list = []
        self.answer = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append((self.path, dict(self.headers)))
                (outer.answer or outer.good)(self)

            def do_POST(self) -> None:
                outer.requests.append((self.path, dict(self.headers)))
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.reports.append(json.loads(body))
                (outer.answer or outer.taken)(self)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *_: None
        if tls is not None:
            self.http.socket = tls.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def good(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.headers["Authorization"] != f"Bearer {TOKEN}":
            self.send(handler, 401, b'{"code": "unauthenticated", "detail": "Unknown token."}')
            return
        body = json.dumps(self.bodies[handler.path]).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        if handler.headers["If-None-Match"] == etag:
            self.send(handler, 304, b"", etag)
        else:
            self.send(handler, 200, body, etag)

    def taken(self, handler: BaseHTTPRequestHandler) -> None:
        good = handler.headers["Authorization"] == f"Bearer {TOKEN}"
        self.send(handler, 202 if good and self.reports else 401, b"{}")

    def send(
        self, handler: BaseHTTPRequestHandler, status: int, body: bytes, etag: str = '"x"'
    ) -> None:
        handler.send_response(status)
        handler.send_header("Corral-Node", self.node)
        handler.send_header("Corral-Document", self.version)
        handler.send_header("ETag", etag)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def always(self, status: int, body: bytes) -> None:
        self.answer = lambda handler: self.send(handler, status, body)

    def raw(self, data: bytes, pause: float = 0.0) -> None:
        """Send just these bytes, one by one with a pause between them if there is one."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.close_connection = True
            for byte in [data[i : i + 1] for i in range(len(data))] if pause else [data]:
                handler.wfile.write(byte)
                time.sleep(pause)

        self.answer = answer

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server():
    running = Server()
    yield running
    running.close()


@pytest.fixture
def settings(server, tmp_path):
    return settings_for(server, tmp_path)


def settings_for(server: Server, tmp_path, **more: object) -> Settings:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    given = {
        "url": server.url,
        "token_file": str(token),
        "cache_dir": str(tmp_path / "cache"),
        "timeout": 0.5,
    }
    return Settings(**{**given, **more})


@pytest.fixture
def silent_port():
    """A port that accepts connections and never says a word."""
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as listening:
        yield listening.server_address[1]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A folder with ``ca``, ``server`` and ``client`` of it, each ``.pem`` and ``.key``."""
    folder = tmp_path_factory.mktemp("certificates")

    def make(name: str, *more: str) -> None:
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
        command += ["ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
        command += ["-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem", *more]
        subprocess.run(command, check=True, capture_output=True)

    signed = ["-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key"]
    signed += ["-addext", "basicConstraints=critical,CA:FALSE"]
    make("ca")
    make("stranger")
    make("server", *signed, "-addext", "subjectAltName=IP:127.0.0.1")
    make("client", *signed, "-addext", "extendedKeyUsage=clientAuth")
    return folder


@pytest.fixture
def tls_server(certificates):
    """An HTTPS server that wants a client certificate of the authority ``ca``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    context.load_verify_locations(certificates / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    running = Server(context)
    yield running
    running.close()
