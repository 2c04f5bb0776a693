"""Reports that wait for Corral: a file each in ``<cache_dir>/reports``, mode 0600, oldest first."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from saltext.corral import report
from saltext.corral.errors import CorralError

if TYPE_CHECKING:
    from saltext.corral.config import Settings

log = logging.getLogger(__name__)

#: So many reports and bytes are kept; the oldest go first.
MOST = 10_000
MOST_BYTES = 256 * 1024 * 1024


def put(settings: Settings, body: bytes) -> None:
    """Keep a report for later. What goes wrong is logged: a run does not fail for its report."""
    folder = _folder(settings)
    try:
        Path(settings.cache_dir).mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(body)
            os.replace(temporary, folder / f"{time.time_ns():020d}-{os.getpid()}.json")  # noqa: PTH105
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
            raise
        _bound(folder)
    except OSError as error:
        log.error("corral report lost, it cannot be kept in %s: %s", folder, error)  # noqa: TRY400


def flush(settings: Settings) -> bool:
    """Post what waits, in order. Returns whether nothing waits any more.

    Stops at the first that gets no answer at all; one that Corral cannot take now waits alone, for
    at most ``max_age`` seconds.
    """
    empty = True
    oldest = time.time_ns() - int(settings.max_age * 1e9)
    for path in waiting(settings):
        try:
            done = report.post(settings, path.read_bytes())
            if not done and int(path.name.partition("-")[0]) < oldest:
                log.error("corral report lost, it waited too long: %s", path.name)
                done = True
        except FileNotFoundError:
            continue
        except CorralError as error:
            log.warning("corral reports wait: %s", error)
            return False
        except OSError as error:
            log.warning("corral report %s cannot be read: %s", path, error)
            done = True
        if done:
            with contextlib.suppress(OSError):
                path.unlink()
        empty = empty and done
    return empty


def waiting(settings: Settings) -> list:
    """Return the files that wait, oldest first."""
    try:
        return sorted(_folder(settings).glob("[0-9]*.json"))
    except OSError:
        return []


def _folder(settings: Settings) -> Path:
    return Path(settings.cache_dir) / "reports"


def _bound(folder: Path) -> None:
    files = sorted(folder.glob("[0-9]*.json"), reverse=True)
    total = 0
    for number, path in enumerate(files, 1):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
            if number > MOST or total > MOST_BYTES:
                log.error("corral report lost, too many wait: %s", path.name)
                path.unlink()
