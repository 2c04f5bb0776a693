"""The API as corral-hostd sees it: one kept connection for heartbeats, one for the events."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from corral_host import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corral_host.hostd.config import Config

#: Seconds for an answer to begin.
TIMEOUT = 15
#: The API says something at least every 15 s; three silences are a dead connection.
SILENCE = 45
#: An answer longer than this is not the API's.
LONGEST = 1 << 20


class ApiError(Exception):
    """The API could not be asked; the message says why and never holds a token."""


class Api:
    """Requests of one node. Each thread needs one of its own."""

    def __init__(self, config: Config) -> None:
        """Open nothing yet."""
        self._config = config
        self._connection: http.client.HTTPConnection | None = None
        #: That of the last request: http.client lets go of it when the answer has no length.
        self._socket: socket.socket | None = None

    def heartbeat(self, body: dict[str, Any]) -> dict[str, Any]:
        """Send a heartbeat and return what the API wants. Raises ``ApiError``."""
        data = json.dumps(body, separators=(",", ":")).encode()
        answer = None
        # The API may have closed a connection that was kept: once more, on a new one.
        for kept in (self._connection is not None, False):
            try:
                answer = self._request("POST", "/heartbeats", data)
                text = answer.read(LONGEST)
                break
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if not kept:
                    raise ApiError(_reason(error)) from error
        assert answer is not None  # noqa: S101 - the loop ended with an answer
        value = _refusal(answer.status, text)
        if answer.will_close:
            self.close()
        return value

    def events(self, last: str | None) -> Iterator[dict[str, Any] | None]:
        """Yield the document's versions as they come, and ``None`` for a sign of life.

        Raises ``ApiError`` when the connection cannot be made; ends when it ends.
        """
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
        if last is not None:
            headers["Last-Event-ID"] = last
        path = f"/documents/{quote(self._config.node, safe='')}/events"
        try:
            answer = self._request("GET", path, None, headers)
            if answer.status != http.client.OK:
                _refusal(answer.status, answer.read(LONGEST))
            kind = answer.getheader("Content-Type", "")
            if not kind.startswith("text/event-stream"):
                raise ApiError(f"answers {kind or 'nothing'} where events should be: check url")
            if self._socket is not None:
                self._socket.settimeout(SILENCE)
            yield None
            yield from parse(answer)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ApiError(_reason(error)) from error
        finally:
            self.close()

    def _request(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        url = urlsplit(self._config.url)
        if self._connection is None:
            self._connection = self._connect(url.scheme, url.hostname or "", url.port)
        token = self._token()
        self._connection.request(
            method,
            url.path + path,
            body,
            {
                "Authorization": f"Bearer {token}",
                "User-Agent": f"corral-hostd/{__version__}",
                "Accept": "application/json",
                **({"Content-Type": "application/json"} if body else {}),
                **(headers or {}),
            },
        )
        self._socket = self._connection.sock
        self._socket = self._connection.sock
        return self._connection.getresponse()

    def _connect(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        ca_file = self._config.ca_file
        try:
            context = ssl.create_default_context(cafile=ca_file and str(ca_file))
        except (OSError, ssl.SSLError) as error:
            raise ApiError(f"ca_file {ca_file}: {_reason(error)}") from error
        return http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)

    def _token(self) -> str:
        path = self._config.token_file
        try:
            # Read each time, so that a new token needs no restart.
            token = path.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "is not a token"
            raise ApiError(
                f"token_file {path}: {reason}; `corral token create` makes one for a node"
            ) from error
        if not token or not token.isprintable() or " " in token:
            raise ApiError(f"token_file {path} must hold a token in one line and nothing else")
        return token

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def cut(self) -> None:
        """End what another thread reads from the connection."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def parse(lines: Any) -> Iterator[dict[str, Any] | None]:  # noqa: ANN401
    """Yield the data of each event named ``document``, with its id as ``version``.

    ``None`` stands for a comment or an event of another name.
    """
    name, data, number = "", [], None
    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            if data and name == "document":
                yield _event("\n".join(data), number)
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id":
            number = value
        elif not field:
            yield None


def _event(text: str, number: str | None) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    version = value.get("version", number)
    return {"version": version, "spread": value.get("spread", 0), "id": number or version}


#: What a person does about an answer.
ADVICE = {
    401: "the token in token_file is not (or no longer) known: make a new one for this node",
    403: "the token in token_file is not this node's: check node and token_file",
    404: "the API does not know this node: check url and node",
}


def _refusal(status: int, text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        value = {}
    value = value if isinstance(value, dict) else {}
    if 200 <= status < 300:  # noqa: PLR2004
        return value
    detail = value.get("detail") or value.get("title") or http.client.responses.get(status, "")
    advice = f"; {ADVICE[status]}" if status in ADVICE else ""
    raise ApiError(f"answers {status}: {str(detail)[:200]}{advice}")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {error.verify_message}; check ca_file"
    if isinstance(error, socket.timeout):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return f"name not found: {error.strerror}; check url"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
