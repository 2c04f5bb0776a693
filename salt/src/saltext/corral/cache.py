"""The last good document of each minion, on disk.

One file for a kind and a minion, ``<cache_dir>/pillar/<minion>.json``, mode 0600, replaced as a
whole. A file that cannot be read or does not hold what it should is as good as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from saltext.corral import documents
from saltext.corral.errors import BadAnswerError

if TYPE_CHECKING:
    from saltext.corral.config import Settings

log = logging.getLogger(__name__)

#: A file name may be 255 bytes long, and a temporary one is longer.
_LONGEST = 200


class Copy(NamedTuple):
    """A document as Corral gave it."""

    #: To ask Corral whether it changed; None when it came without one.
    etag: str | None
    version: str
    #: When Corral last gave or confirmed it, in seconds since 1970.
    confirmed: float
    document: dict


def path_of(settings: Settings, kind: str, minion: str) -> Path:
    """Name the file of a copy: a plain name within its folder, whatever the id looks like."""
    name = quote(minion, safe="")
    if len(name) > _LONGEST:
        digest = hashlib.sha256(minion.encode()).hexdigest()
        name = f"{name[: _LONGEST - len(digest)]}+{digest}"
    return Path(settings.cache_dir) / kind / f"{name}.json"


def read(settings: Settings, kind: str, minion: str) -> Copy | None:
    """Read the copy, or None when there is none that is whole, of this node and from this url."""
    path = path_of(settings, kind, minion)
    try:
        record = json.loads(path.read_bytes())
        copy = Copy(*(record[field] for field in Copy._fields))
        good = (record["url"], record["kind"], record["node"]) == (settings.url, kind, minion)
        typed = isinstance(copy.version, str) and isinstance(copy.confirmed, (int, float))
        if not good or not typed or not isinstance(copy.etag, (str, type(None))):
            return None
        documents.check(kind, minion, copy.version, copy.document)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError, BadAnswerError) as error:
        log.warning("corral ignores the copy %s: %s", path, error)
        return None
    return copy


def write(settings: Settings, kind: str, minion: str, copy: Copy) -> None:
    """Replace the copy as a whole. What goes wrong is logged: the document itself is good."""
    path = path_of(settings, kind, minion)
    about = {"url": settings.url, "kind": kind, "node": minion}
    record = json.dumps({**about, **copy._asdict()}).encode()
    try:
        Path(settings.cache_dir).mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        # mkstemp makes the file with mode 0600.
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(record)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)  # noqa: PTH105
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
            raise
        _sync_folder(path.parent)
    except OSError as error:
        log.warning("corral cannot keep a copy in %s: %s", path, error)


def forget(settings: Settings, kind: str, minion: str) -> None:
    """Remove the copy: Corral said that there is no such node."""
    try:
        path_of(settings, kind, minion).unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("corral cannot remove a copy: %s", error)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
