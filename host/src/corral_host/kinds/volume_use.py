"""Which running domain has which volume open."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from corral_host.session import Session


class Users:
    """One listing of the running domains' disks, until ``forget()``."""

    def __init__(self, session: Session) -> None:
        """List nothing yet: most runs need none."""
        self._session = session
        self._disks: dict[str, tuple[Any, str]] | None = None

    def forget(self) -> None:
        """Drop the listing."""
        self._disks = None

    def of(self, place: str) -> tuple[Any, str] | None:
        """Return the domain that has a path or ``<Ceph pool>/<image>`` open, and as which disk."""
        if self._disks is None:
            self._disks = self._list()
        return self._disks.get(_real(place))

    def _list(self) -> dict[str, tuple[Any, str]]:
        import libvirt  # noqa: PLC0415

        disks: dict[str, tuple[Any, str]] = {}
        connection = self._session.libvirt()
        for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            try:
                root = ET.fromstring(domain.XMLDesc(0))  # noqa: S314 - libvirt's
            except libvirt.libvirtError:
                # It ended in this moment.
                continue
            for disk in root.findall("devices/disk"):
                target = disk.find("target")
                name = target.get("dev", "") if target is not None else ""
                # With snapshots, those below are open, too.
                for source in disk.iter("source"):
                    place = source.get("file") or source.get("dev")
                    if source.get("protocol") == "rbd":
                        place = source.get("name")
                    if place:
                        disks.setdefault(_real(place), (domain, name))
        return disks


def _real(place: str) -> str:
    """Return the one path of a file: a logical volume has several."""
    return os.path.realpath(place) if place.startswith("/") else place
