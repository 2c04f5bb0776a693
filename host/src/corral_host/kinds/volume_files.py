"""Volumes that are files: pools of type dir and netfs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from corral_host.errors import HostError
from corral_host.kinds import volume_convert as convert
from corral_host.kinds.volume_marks import Marks, sync_folder
from corral_host.kinds.volume_store import State, Store

if TYPE_CHECKING:
    from corral_host.session import Session

#: Name of a file that is still being filled; a whole volume never has it.
PARTIAL = ".{}.corral"


class Files(Store):
    """The files in one pool's directory."""

    def __init__(self, session: Session, pool: Any, *, shared: bool) -> None:  # noqa: ANN401
        """``shared``: other hosts make volumes here, too."""
        super().__init__(session, pool, shared=shared)
        self.marks = Marks(session.settings.state_dir, pool.name())
        root = ET.fromstring(pool.XMLDesc(0))  # noqa: S314 - libvirt's
        self.folder = Path(root.findtext("target/path") or "/")

    def names(self) -> list[str]:
        """Return the names of all volumes, without those that are being made."""
        names = (one.name() for one in self.pool.listAllVolumes())
        return [one for one in names if not _is_partial(one)]

    def state(self, name: str) -> State | None:
        """Return a volume, if there is one of the name."""
        volume = self.lookup(name)
        if volume is None:
            return None
        root = ET.fromstring(volume.XMLDesc(0))  # noqa: S314 - libvirt's
        element = root.find("target/format")
        form = element.get("type", "") if element is not None else ""
        size = int(root.findtext("capacity") or 0)
        mark = self.marks.get(name)
        if mark is not None and mark.get("format") == "raw":
            # What its guest wrote at the start could look like another format.
            form, size = "raw", (self.folder / name).stat().st_size
        return State(size, form, managed=mark is not None)

    def partial(self, name: str) -> bool:
        """Return whether there is the beginning of a volume that was never finished."""
        return self._partial(name).exists()

    def place(self, name: str) -> str:
        """Return its path."""
        return str(self.folder / name)

    def adopt(self, name: str, form: str) -> None:
        """Mark a volume as ours that we did not make."""
        self.marks.put(name, {"format": form, "adopted": True})

    def create(self, name: str, spec: dict[str, Any], form: str) -> None:
        """Make an empty one."""
        # libvirt does not know of files that came since it looked, and qemu-img writes over them.
        if os.path.lexists(self.place(name)):
            raise _appeared(self.place(name))
        self.marks.put(name, {"format": form, "adopted": False})
        self.create_xml(spec["xml"])

    def fill(self, name: str, spec: dict[str, Any], form: str, image: Path) -> None:
        """Make one of an image: aside, and under its name when it is complete."""
        partial = self._partial(name)
        partial.unlink(missing_ok=True)
        size = spec["size"]
        convert.copy_to_file(self.session, image, spec["filled_from"]["type"], partial, form)
        convert.resize_file(self.session, str(partial), form, size)
        partial.chmod(0o600)
        self.marks.put(name, {"format": form, "adopted": False})
        try:
            # Unlike a rename this writes over nothing.
            os.link(partial, self.folder / name)
        except FileExistsError as error:
            raise _appeared(self.place(name)) from error
        partial.unlink()
        sync_folder(self.folder)
        self.refresh()

    def grow(self, name: str, form: str, size: int) -> None:
        """Enlarge one that no domain here has open."""
        convert.resize_file(self.session, self.place(name), form, size)

    def delete(self, name: str) -> None:
        """Remove it, its beginning and its mark."""
        self._partial(name).unlink(missing_ok=True)
        self.delete_volume(name)
        self.marks.drop(name)

    def _partial(self, name: str) -> Path:
        return self.folder / PARTIAL.format(name)


def _appeared(path: str) -> HostError:
    return HostError("volume_exists", f"{path} appeared since the pool was read: it is left alone")


def _is_partial(name: str) -> bool:
    return name.startswith(".") and name.endswith(".corral")
