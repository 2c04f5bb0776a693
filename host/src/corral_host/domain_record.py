"""What was last applied to a domain: ``<state_dir>/domains/<name>.json``.

It is a help, not a truth: without it a domain is compared with its spec only, which does not see
what somebody added where the spec says nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from corral_host.files import read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Record:
    """All texts may be empty: nothing is known."""

    uuid: str = ""
    #: The spec's XML that was defined.
    spec: str = ""
    #: libvirt's persistent XML of it, and the version of libvirt that wrote it.
    inactive: str = ""
    libvirt: int = 0
    #: The processor of the instance that runs, where it is not the persistent one.
    cpu: dict[str, Any] = field(default_factory=dict)
    #: What an instance was asked for and has not done yet: property to [instance, wanted, reason].
    asked: dict[str, list[str]] = field(default_factory=dict)
    #: Digest of the cloud-init data, path, size and time of the seed that was made of it.
    seed: dict[str, Any] = field(default_factory=dict)


class Records:
    """The records of all domains; each is read once."""

    def __init__(self, state_dir: Path) -> None:
        """``state_dir`` is Corral's folder on this host."""
        self._folder = state_dir / "domains"
        self._read: dict[str, Record] = {}

    def _path(self, name: str) -> Path:
        safe = (
            name if name.replace("-", "").isalnum() else hashlib.sha256(name.encode()).hexdigest()
        )
        return self._folder / f"{safe}.json"

    def get(self, name: str) -> Record:
        """Return the record of a domain; an empty one when there is none that can be read."""
        if name not in self._read:
            values = read_json(self._path(name))
            blank = Record()
            known = {
                one.name: values[one.name]
                for one in fields(Record)
                if isinstance(values.get(one.name), type(getattr(blank, one.name)))
            }
            self._read[name] = Record(**known)
        return self._read[name]

    def put(self, name: str, record: Record) -> None:
        """Write the record of a domain, so that it survives a crash right after."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_json(self._path(name), asdict(record))
        self._read[name] = record

    def drop(self, name: str) -> None:
        """Forget a domain that is gone."""
        self._path(name).unlink(missing_ok=True)
        self._read.pop(name, None)

    def forget(self) -> None:
        """Read again what another process may have written."""
        self._read.clear()


def digest(text: str) -> str:
    """Return how a text is named where it is not shown."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()[:12]
