"""Enrolment: a key that this host makes and keeps, exchanged for node tokens that end soon.

Python's standard library has no Ed25519, so that ``openssl`` makes the key and signs with it. The
key never leaves the host, and no program but this one reads it.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from corral_host import __version__
from corral_host.errors import HostError
from corral_host.files import now, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds for an answer.
TIMEOUT = 15
#: Seconds between questions whether an operator has approved.
AGAIN = 5
#: An answer longer than this is not the API's.
LONGEST = 1 << 16
#: Bytes of an Ed25519 public key, and of what stands before it in DER.
KEY, HEAD = 32, bytes.fromhex("302a300506032b6570032100")
#: Who else may read the token: corral-hostd.
GROUP = "corral-host"


@dataclass(frozen=True)
class Place:
    """Where the files of an enrolment are."""

    #: The private key, for root alone.
    key: Path
    #: The node token, for root and corral-hostd.
    token: Path
    #: The enrolment: url, ca_file, node, id, and from when to when the token is good.
    state: Path

    @classmethod
    def on(cls, etc_dir: Path, state_dir: Path, token: Path | None = None) -> Place:
        """Return the usual ones."""
        return cls(
            etc_dir / "host.key", token or etc_dir / "node.token", state_dir / "enrolment.json"
        )


def enrol(
    place: Place, url: str, token: str, node: str, ca_file: str | None = None
) -> dict[str, Any]:
    """Ask to be let in, and return what the API says of it: id, state, fingerprint.

    Raises ``HostError``. Done again, it takes the key that is there.
    """
    with _alone(place):
        key = _key(place.key)
        at = now()
        digest = hashlib.sha256(token.encode()).hexdigest()
        body = {
            "token": token,
            "fqdn": node,
            "public_key": base64.b64encode(key).decode(),
            "time": at,
            "proof": _sign(place.key, f"corral enrol\n{node}\n{digest}\n{at}\n"),
        }
        answer = _post(url, "/enrolments", body, ca_file)
        if not isinstance(answer.get("id"), str):
            raise _failed(f"{url} answers something else: check --url")
        write_json(
            place.state,
            {
                "url": url,
                "ca_file": ca_file,
                "node": node,
                "id": answer["id"],
                "token_file": str(place.token),
            },
        )
        return answer


def renew(place: Place, *, force: bool = False) -> str:
    """Get a new token when half the life of the one that is there is over, and say what was done.

    Raises ``HostError``.
    """
    with _alone(place):
        state = read_json(place.state)
        if not isinstance(state.get("id"), str) or not isinstance(state.get("url"), str):
            raise _failed(f"{place.state} holds no enrolment: corral-host enrol makes one")
        target = Path(state.get("token_file") or place.token)
        if not force and target.exists() and time.time() < _half(state):
            return "kept"
        at = now()
        proof = _sign(place.key, f"corral token\n{state['id']}\n{at}\n")
        path = f"/enrolments/{quote(state['id'], safe='')}/token"
        answer = _post(state["url"], path, {"time": at, "proof": proof}, state.get("ca_file"))
        if answer.get("state") == "pending":
            return "pending"
        token = answer.get("token")
        if (
            not isinstance(token, str)
            or not token.isprintable()
            or answer.get("node") != state.get("node")
        ):
            raise _failed(f"{state['url']} answers something else: check the url in {place.state}")
        _write_token(target, token)
        write_json(place.state, {**state, "since": at, "expires_at": answer.get("expires_at")})
        return "renewed"


def wait(place: Place, seconds: float) -> str:
    """Ask for a token until there is one, or the time is over. Raises ``HostError``."""
    end = time.monotonic() + seconds
    while True:
        done = renew(place, force=True)
        if done != "pending" or time.monotonic() >= end:
            return done
        time.sleep(min(AGAIN, max(0.0, end - time.monotonic())))


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    """Let a timer and a person not do it at once: the times of statements only go forward."""
    try:
        place.state.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with place.state.with_suffix(".lock").open("a", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise _failed(f"{error.filename or place.state}: {error.strerror}") from error


def _half(state: dict[str, Any]) -> float:
    """Return when half of the token's life is over; at once, when that is not known."""
    try:
        since, until = (
            datetime.strptime(str(state[name]), "%Y-%m-%dT%H:%M:%S.%fZ")
            .replace(tzinfo=timezone.utc)
            .timestamp()
            for name in ("since", "expires_at")
        )
    except (KeyError, ValueError):
        return 0
    # A clock that was set back would keep a token past its end.
    return 0 if since > time.time() else (since + until) / 2


def _key(path: Path) -> bytes:
    """Return the public key; makes the private one where there is none."""
    if not path.exists():
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_openssl("genpkey", "-algorithm", "ed25519"))
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    if path.stat().st_mode & 0o077:
        raise _failed(f"{path} can be read by others: chmod 600 it, or remove it and enrol anew")
    der = _openssl("pkey", "-in", str(path), "-pubout", "-outform", "DER")
    if len(der) != len(HEAD) + KEY or not der.startswith(HEAD):
        raise _failed(f"{path} is no Ed25519 key: remove it, and enrol anew")
    return der[len(HEAD) :]


def _sign(key: Path, statement: str) -> str:
    # OpenSSL 1.1.1 signs with Ed25519 only what is in a file.
    with tempfile.NamedTemporaryFile("w", encoding="ascii") as file:
        file.write(statement)
        file.flush()
        done = _openssl("pkeyutl", "-sign", "-inkey", str(key), "-rawin", "-in", file.name)
    return base64.b64encode(done).decode()


def _openssl(*arguments: str) -> bytes:
    try:
        done = subprocess.run(["openssl", *arguments], capture_output=True, check=False, timeout=60)
    except FileNotFoundError as error:
        raise _failed("openssl is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise _failed("openssl took too long") from error
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise _failed(f"openssl {arguments[0]}: {lines[0] if lines else 'failed'}")
    return done.stdout


def _write_token(path: Path, token: str) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{token}\n")
            file.flush()
            _share(Path(name))
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _share(path: Path) -> None:
    """Let corral-hostd read a file, where it is installed."""
    try:
        shutil.chown(path, group=GROUP)
    except (LookupError, PermissionError):
        return
    path.chmod(0o640)


def _post(url: str, path: str, body: dict[str, Any], ca_file: str | None) -> dict[str, Any]:
    parts = urlsplit(url.rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise _failed(f"{url} must be an address that starts with https:// or http://")
    try:
        if parts.scheme == "http":
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT)
        else:
            context = ssl.create_default_context(cafile=ca_file)
            connection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=TIMEOUT, context=context
            )
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": f"corral-host/{__version__}",
        }
        connection.request("POST", parts.path + path, json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read(LONGEST)
        connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise HostError(
            "unreachable", f"{url} cannot be asked: {error or type(error).__name__}"
        ) from error
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise _failed(f"{url} answers {answer.status}, and no JSON: check --url")
    if answer.status not in (http.client.OK, http.client.CREATED):
        raise HostError(
            str(value.get("code", "refused")), f"{url}: {value.get('detail', answer.status)}"
        )
    return value


def _failed(message: str) -> HostError:
    return HostError("enrolment", message)
