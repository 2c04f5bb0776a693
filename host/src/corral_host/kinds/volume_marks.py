"""Which volumes of this host's pools Corral made: a file each, ``<state_dir>/volumes/<pool>/``.

A name is no proof: anybody can put a file of that name there. The mark is written before the
volume and removed after it, so that there is never a volume of ours without one. (For RBD images,
which hosts share, the mark that counts is in the image.)
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

from corral_host.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path


class Marks:
    """The marks of one pool's volumes."""

    def __init__(self, state_dir: Path, pool: str) -> None:
        """Read nothing yet."""
        self._folder = state_dir / "volumes" / pool

    def get(self, name: str) -> dict[str, Any] | None:
        """Return a volume's mark: ``{"format": "qcow2", "adopted": false}``; ``None`` without."""
        try:
            data = json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise HostError("bad_state", f"the mark of the volume {name}: {error}") from error
        return data if isinstance(data, dict) else {}

    def put(self, name: str, mark: dict[str, Any]) -> None:
        """Write a mark, so that it survives a loss of power."""
        path = self._folder / f"{name}.json"
        temporary = self._folder / f".{name}.new"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(mark, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(self._folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise HostError(
                "no_state", f"{path} cannot be written, so {name} is not made: {error.strerror}"
            ) from error

    def drop(self, name: str) -> None:
        """Remove a mark, if there is one."""
        with contextlib.suppress(FileNotFoundError):
            (self._folder / f"{name}.json").unlink()


def sync_folder(folder: Path) -> None:
    """Make what was renamed in a folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
