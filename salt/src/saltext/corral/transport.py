"""One request over HTTP or HTTPS within a deadline that nothing can stretch.

A socket's timeout starts anew with every byte, and looking up a name has none at all. So the
request runs in a thread of its own, which is cut off when its time is up.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from saltext.corral.errors import BadAnswerError, ConfigError, CorralError, UnreachableError

if TYPE_CHECKING:
    from saltext.corral.config import Settings

#: Bytes; a document of a large node has some hundred thousand.
LARGEST_BODY = 64 * 1024 * 1024
_CHUNK = 64 * 1024


class Answer(NamedTuple):
    """What came back: any status, the headers, the whole body."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


def fetch(
    settings: Settings, path: str, etag: str | None = None, body: bytes | None = None
) -> Answer:
    """GET ``settings.url`` + ``path``, with ``If-None-Match: etag`` when there is one.

    With a ``body``, which is JSON, it is a POST.

    Redirections are not followed and proxies are not used: the token goes to Corral alone.
    Raises ``UnreachableError`` when there is no answer within ``settings.timeout`` seconds,
    ``BadAnswerError`` when it breaks off in the middle, ``ConfigError`` for unusable files.
    """
    exchange = _Exchange(settings, path, etag, body)
    thread = threading.Thread(target=exchange.run, name="corral", daemon=True)
    thread.start()
    thread.join(settings.timeout)
    if exchange.answer is not None:
        return exchange.answer
    if exchange.error is not None:
        raise exchange.error
    exchange.abort()
    raise UnreachableError(f"no whole answer from {settings.url} within {settings.timeout:g} s")


class _Exchange:
    def __init__(self, settings: Settings, path: str, etag: str | None, body: bytes | None) -> None:
        self.answer: Answer | None = None
        self.error: CorralError | None = None
        self._settings = settings
        self._url = urlsplit(settings.url)
        self._path = self._url.path.rstrip("/") + path
        self._headers = _headers(settings, etag)
        self._content = body
        if body is not None:
            self._headers["Content-Type"] = "application/json"
        self._tls = _tls(settings) if self._url.scheme == "https" else None
        self._deadline = time.monotonic() + settings.timeout
        self._socket: socket.socket | None = None
        self._answering = False

    def run(self) -> None:
        """Set ``answer`` or ``error``."""
        where = self._settings.url
        try:
            self.answer = self._exchange()
        except CorralError as error:
            self.error = error
        except (ssl.SSLError, OSError, http.client.HTTPException) as error:
            # socket.timeout is another class before Python 3.10.
            if isinstance(error, (TimeoutError, socket.timeout)):
                message = f"no whole answer from {where} within {self._settings.timeout:g} s"
                self.error = UnreachableError(message)
            elif self._answering:
                self.error = BadAnswerError(f"the answer of {where} breaks off: {error!r}")
            elif isinstance(error, ssl.SSLError):
                self.error = UnreachableError(f"TLS error with {where}: {error}")
            elif isinstance(error, http.client.RemoteDisconnected):
                self.error = UnreachableError(f"{where} closed the connection without an answer")
            elif isinstance(error, http.client.HTTPException):
                self.error = BadAnswerError(f"the answer of {where} is not HTTP: {error!r}")
            else:
                self.error = UnreachableError(f"cannot reach {where}: {error.strerror or error}")
        except BaseException as error:  # noqa: BLE001
            # A thread that dies silently would look like a timeout.
            self.error = BadAnswerError(f"cannot ask {where}: {error!r}")
        finally:
            self.abort()

    def abort(self) -> None:
        """Close the connection, and so wake up a thread that waits for it."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                self._socket.close()

    def _exchange(self) -> Answer:
        host = self._url.hostname or ""
        if self._tls is None:
            connection = http.client.HTTPConnection(host, self._url.port)
        else:
            connection = http.client.HTTPSConnection(host, self._url.port, context=self._tls)
        self._socket = self._connect(host, connection.port)
        if self._tls is not None:
            # The handshake apart from the wrapping, so that abort() reaches it.
            self._socket = self._tls.wrap_socket(
                self._socket, server_hostname=host, do_handshake_on_connect=False
            )
            self._socket.do_handshake()
        connection.sock = self._socket
        method = "GET" if self._content is None else "POST"
        connection.request(method, self._path, self._content, self._headers)
        response = connection.getresponse()
        return Answer(response.status, response.headers, self._body(response))

    def _connect(self, host: str, port: int) -> socket.socket:
        """Try each address of the host, with its fair share of the time that is left."""
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        failure: OSError = OSError(f"{host} has no address")
        for tried, (family, kind, protocol, _, address) in enumerate(addresses):
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket = socket.socket(family, kind, protocol)
            try:
                self._socket.settimeout(left / (len(addresses) - tried))
                self._socket.connect(address)
                self._socket.settimeout(max(self._deadline - time.monotonic(), 0.001))
            except OSError as error:
                self._socket.close()
                failure = error
            else:
                return self._socket
        raise failure

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        self._answering = response.status < http.client.BAD_REQUEST
        body = bytearray()
        try:
            while chunk := response.read(_CHUNK):
                body += chunk
                if time.monotonic() > self._deadline:
                    raise TimeoutError
                if len(body) > LARGEST_BODY:
                    raise BadAnswerError(f"the answer has more than {LARGEST_BODY} bytes")
        except (OSError, http.client.HTTPException):
            # The status of an error says enough, whatever becomes of the text with it.
            if self._answering:
                raise
            return b""
        # read() with a size does not tell an early end from a good one on every Python.
        length = response.headers.get("Content-Length", "")
        whole = not length.isdigit() or int(length) == len(body)
        if self._answering and not whole and response.status != http.client.NOT_MODIFIED:
            raise BadAnswerError(f"the answer breaks off: {len(body)} of {length} bytes")
        return bytes(body)


def _headers(settings: Settings, etag: str | None) -> dict:
    headers = {"Accept": "application/json", "User-Agent": "saltext.corral", "Connection": "close"}
    if etag is not None:
        headers["If-None-Match"] = etag
    if settings.token_file is not None:
        headers["Authorization"] = f"Bearer {_token(settings.token_file)}"
    return headers


def _token(file: str) -> str:
    try:
        token = Path(file).read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigError(f"token_file: {file}: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(f"token_file: {file}: is not ASCII") from error
    if not token or not token.isprintable() or " " in token:
        raise ConfigError(f"token_file: {file}: does not hold one token")
    return token


def _tls(settings: Settings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca_file: {settings.ca_file}: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.cert_file is not None:
        try:
            # Without a password of its own, OpenSSL would ask for one on the terminal.
            context.load_cert_chain(settings.cert_file, settings.key_file, password="")
        except (OSError, ssl.SSLError) as error:
            files = " and ".join(filter(None, (settings.cert_file, settings.key_file)))
            raise ConfigError(f"cert_file, key_file: {files}: {error}") from error
    return context
