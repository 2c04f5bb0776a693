"""Logical volumes: pools of type logical."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from corral_host.kinds import volume_convert as convert
from corral_host.kinds.volume_marks import Marks
from corral_host.kinds.volume_store import State, Store

if TYPE_CHECKING:
    from pathlib import Path

    from corral_host.session import Session

#: End of the name of a logical volume that is still being filled.
PARTIAL = ".corral"


class LogicalVolumes(Store):
    """The logical volumes of one volume group."""

    def __init__(self, session: Session, pool: Any) -> None:  # noqa: ANN401
        """Read what the group is called."""
        super().__init__(session, pool, shared=False)
        self.marks = Marks(session.settings.state_dir, pool.name())
        root = ET.fromstring(pool.XMLDesc(0))  # noqa: S314 - libvirt's
        self.group = root.findtext("source/name") or pool.name()
        self._extent = 0

    def names(self) -> list[str]:
        """Return the names of all volumes, without those that are being made."""
        names = (one.name() for one in self.pool.listAllVolumes())
        return [one for one in names if not one.endswith(PARTIAL)]

    def state(self, name: str) -> State | None:
        """Return a volume; a logical volume has no format of its own."""
        volume = self.lookup(name)
        if volume is None:
            return None
        size = volume.info()[1]
        mark = self.marks.get(name)
        return State(size, "raw", mark is not None, untold=bool(mark and mark.get("untold")))

    def partial(self, name: str) -> bool:
        """Return whether there is the beginning of a volume that was never finished."""
        return self.lookup(name + PARTIAL) is not None

    def place(self, name: str) -> str:
        """Return its path."""
        return f"/dev/{self.group}/{name}"

    def adopt(self, name: str, form: str) -> None:
        """Mark a volume as ours that we did not make."""
        self.marks.put(name, {"format": form, "adopted": True})

    def create(self, name: str, spec: dict[str, Any], form: str) -> None:
        """Make an empty one. What its blocks held before stays readable in it."""
        self.marks.put(name, {"format": form, "adopted": False})
        self.create_xml(spec["xml"])

    def fill(self, name: str, spec: dict[str, Any], form: str, image: Path) -> None:
        """Make one of an image: aside, and under its name when it is complete."""
        partial = name + PARTIAL
        self.delete_volume(partial)
        self.create_xml(_renamed(spec["xml"], partial))
        kind = spec["filled_from"]["type"]
        convert.copy_onto(self.session, image, kind, self.place(partial), zero=False)
        self.marks.put(name, {"format": form, "adopted": False})
        self.session.run(["lvrename", self.group, partial, name])
        self.refresh()

    def grow(self, name: str, form: str, size: int) -> None:  # noqa: ARG002 - of all stores
        """Enlarge it."""
        state = self.state(name)
        if state is not None and state.size < size:
            self.session.run(["lvextend", "--size", f"{size}b", self.place(name)])
            self.refresh()
        self._told(name, told=True)

    def grow_open(self, name: str, size: int, domain: Any, disk: str) -> None:  # noqa: ANN401
        """Enlarge it, and tell the guest."""
        # A run that is killed between the two leaves this, and the next one tells the guest.
        self._told(name, told=False)
        self.session.run(["lvextend", "--size", f"{size}b", self.place(name)], check=False)
        self.refresh()
        state = self.state(name)
        super().grow_open(name, state.size if state else size, domain, disk)
        self._told(name, told=True)

    def _told(self, name: str, *, told: bool) -> None:
        mark = self.marks.get(name) or {}
        if mark.get("untold", False) == told:
            self.marks.put(name, {**mark, "untold": not told})

    def delete(self, name: str) -> None:
        """Remove it, its beginning and its mark. Its blocks are not wiped."""
        self.delete_volume(name + PARTIAL)
        self.delete_volume(name)
        self.marks.drop(name)

    def slack(self) -> int:
        """Return the size of an extent: LVM gives nothing less."""
        if not self._extent:
            options = ["--noheadings", "--nosuffix", "--units", "b", "-o", "vg_extent_size"]
            done = self.session.run(["vgs", *options, self.group])
            self._extent = int(float(done.stdout.decode().strip()))
        return self._extent


def _renamed(xml: str, name: str) -> str:
    """Return a volume's XML with another name and no path."""
    root = ET.fromstring(xml)  # noqa: S314 - the document's
    element, target = root.find("name"), root.find("target")
    if element is not None:
        element.text = name
    path = target.find("path") if target is not None else None
    if target is not None and path is not None:
        target.remove(path)
    return ET.tostring(root, encoding="unicode")
