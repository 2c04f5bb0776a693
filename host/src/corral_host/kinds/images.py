"""Images that volumes are filled from: fetched once, kept in ``<state_dir>/images`` by checksum."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from corral_host.errors import BadSpec, HostError

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds without a byte after which a download counts as stuck.
STALLED = 60
#: Seconds after which an image that no volume was filled from is forgotten: 30 days.
UNUSED = 30 * 86400
CHUNK = 1 << 20
DIGITS = {"sha256": 64, "sha512": 128}
FORMATS = ("qcow2", "raw")


def check_image(where: str, image: Any) -> None:  # noqa: ANN401
    """Raise ``BadSpec`` for a ``filled_from`` that cannot be right."""
    if not isinstance(image, dict):
        raise BadSpec(f"{where} must be a mapping")
    url = image.get("url")
    if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https", "file"):
        raise BadSpec(f"{where}/url must be an http, https or file URL, not {url!r}")
    if image.get("type") not in FORMATS:
        raise BadSpec(f"{where}/type must be one of {', '.join(FORMATS)}")
    checksum = image.get("checksum")
    if checksum is not None:
        kind, _, digits = checksum.partition(":") if isinstance(checksum, str) else ("", "", "")
        if kind not in DIGITS or not digits or set(digits.lower()) - set("0123456789abcdef"):
            raise BadSpec(f"{where}/checksum must be sha256: or sha512: and hexadecimal digits")


def fetch(folder: Path, image: dict[str, Any]) -> Path:
    """Return the image's file, fetched when it is not there.

    What was begun goes on where it stopped; only a whole file with the right checksum gets its
    name. Without a checksum nothing tells whether what is there is still the image, so it is
    fetched again.
    Raises ``HostError``.
    """
    url, checksum = image["url"], image.get("checksum")
    name = checksum.lower().replace(":", "-") if checksum else f"url-{_digest(url)}"
    path = folder / name
    if checksum and path.exists():
        # Its last use, for `_forget`.
        os.utime(path)
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _forget(folder)
        with (folder / ".lock").open("w") as lock:
            # Two runs at once: the second waits, and finds it done.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if checksum and path.exists():
                return path
            with (folder / f"{name}.part").open("a+b") as part:
                _download(url, part, checksum)
                os.fsync(part.fileno())
            (folder / f"{name}.part").replace(path)
    except OSError as error:
        # Half a file that filled the disk is of no use to anybody.
        with contextlib.suppress(OSError):
            (folder / f"{name}.part").unlink()
        raise HostError("image_failed", f"{url} cannot be kept in {folder}: {error}") from error
    return path


def _download(url: str, part: IO[bytes], checksum: str | None) -> None:
    if not checksum:
        part.truncate(0)
    resumed = part.seek(0, os.SEEK_END) > 0
    _read_into(url, part)
    if checksum is None:
        return
    kind, _, wanted = checksum.partition(":")
    found = _sum(part, kind)
    if found != wanted.lower() and resumed:
        # The file on the server was another when this was begun.
        part.truncate(0)
        _read_into(url, part)
        found = _sum(part, kind)
    if found != wanted.lower():
        part.truncate(0)
        raise HostError(
            "image_checksum",
            f"{url} has the {kind} {found[:12]}..., and the image says {wanted[:12]}...: correct"
            " the checksum, or the file",
        )


def _read_into(url: str, part: IO[bytes]) -> None:
    """Read the rest of a URL into a file."""
    have = part.seek(0, os.SEEK_END)
    request = urllib.request.Request(url, headers={"User-Agent": "corral-host"})  # noqa: S310
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=STALLED)  # noqa: S310 - checked
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            # All of it is there, or it is another file: the checksum tells.
            return
        raise _unreachable(url, error) from error
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(url, error) from error
    with answer:
        if getattr(answer, "status", None) != http.client.PARTIAL_CONTENT:
            part.truncate(0)
        got = 0
        while chunk := _chunk(url, answer):
            got += len(chunk)
            part.write(chunk)
        part.flush()
        expected = answer.headers.get("Content-Length")
        if expected is not None and got < int(expected):
            raise HostError("image_failed", f"{url} ended after {got} of {expected} bytes")


def _chunk(url: str, answer: Any) -> bytes:  # noqa: ANN401
    try:
        return answer.read(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(url, error) from error


def _unreachable(url: str, error: Exception) -> HostError:
    return HostError("image_failed", f"{url} cannot be fetched: {error}")


def _sum(file: IO[bytes], kind: str) -> str:
    file.seek(0)
    digest = hashlib.new(kind)
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _forget(folder: Path) -> None:
    """Remove what no volume was filled from for long."""
    for path in folder.glob("[!.]*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > UNUSED:
                path.unlink()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
