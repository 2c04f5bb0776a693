"""What all pools have in common: volumes that are looked up, made, enlarged and removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from corral_host.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path

    from corral_host.session import Session


@dataclass(frozen=True)
class State:
    """A volume as it is."""

    #: Bytes that a guest sees.
    size: int
    #: qcow2 or raw, or what libvirt found in a file that is not ours.
    format: str
    #: Whether Corral made it, or took it over.
    managed: bool
    #: Whether a running guest may not know yet how large it has become.
    untold: bool = False


class Store:
    """The volumes of one pool. ``None`` means that there is none of that name."""

    def __init__(self, session: Session, pool: Any, *, shared: bool) -> None:  # noqa: ANN401
        """``pool`` is libvirt's, and active. ``shared``: other hosts make volumes in it, too."""
        self.session = session
        self.pool = pool
        self.shared = shared

    def names(self) -> list[str]:
        """Return the names of all volumes."""
        raise NotImplementedError

    def state(self, name: str) -> State | None:
        """Return a volume."""
        raise NotImplementedError

    def partial(self, name: str) -> bool:
        """Return whether there is the beginning of a volume that was never finished."""
        raise NotImplementedError

    def place(self, name: str) -> str:
        """Return what a domain's disk calls it: its path, or ``<Ceph pool>/<image>``."""
        raise NotImplementedError

    def adopt(self, name: str, form: str) -> None:
        """Mark a volume as ours that we did not make."""
        raise NotImplementedError

    def create(self, name: str, spec: dict[str, Any], form: str) -> None:
        """Make an empty volume."""
        raise NotImplementedError

    def fill(self, name: str, spec: dict[str, Any], form: str, image: Path) -> None:
        """Make a volume of an image. It has its name when it is complete, not before."""
        raise NotImplementedError

    def grow(self, name: str, form: str, size: int) -> None:
        """Enlarge a volume that no domain on this host has open."""
        raise NotImplementedError

    def grow_open(self, name: str, size: int, domain: Any, disk: str) -> None:  # noqa: ANN401
        """Enlarge a volume that a running domain has open, and tell its guest."""
        import libvirt  # noqa: PLC0415

        try:
            domain.blockResize(disk, size, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
        except libvirt.libvirtError as error:
            raise HostError(
                "volume_failed",
                f"{name} cannot be enlarged in the running domain {domain.name()}: {error}",
            ) from error

    def delete(self, name: str) -> None:
        """Remove a volume with its data, and what marks it as ours."""
        raise NotImplementedError

    def slack(self) -> int:
        """Return how many bytes less than this a volume may be larger than asked, by rounding."""
        return 512

    def lookup(self, name: str) -> Any | None:  # noqa: ANN401
        """Return libvirt's volume of a name."""
        import libvirt  # noqa: PLC0415

        try:
            return self.pool.storageVolLookupByName(name)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_VOL:
                return None
            raise HostError("volume_failed", f"the volume {name}: {error}") from error

    def create_xml(self, xml: str) -> None:
        """Have libvirt make a volume."""
        import libvirt  # noqa: PLC0415

        try:
            self.pool.createXML(xml, 0)
        except libvirt.libvirtError as error:
            raise HostError("volume_failed", f"in the pool {self.pool.name()}: {error}") from error

    def delete_volume(self, name: str) -> None:
        """Have libvirt remove a volume, if there is one."""
        import libvirt  # noqa: PLC0415

        volume = self.lookup(name)
        if volume is None:
            return
        try:
            volume.delete(0)
        except libvirt.libvirtError as error:
            raise HostError("volume_failed", f"{name} cannot be removed: {error}") from error

    def refresh(self) -> None:
        """Have libvirt see what was made without it."""
        import libvirt  # noqa: PLC0415

        try:
            self.pool.refresh()
        except libvirt.libvirtError as error:
            raise HostError(
                "pool_unreachable", f"the pool {self.pool.name()} cannot be read: {error}"
            ) from error
