"""Storage pools of libvirt: directories, LVM volume groups, NFS exports and Ceph pools.

Removing a pool removes libvirt's knowledge of it. What is in it stays: a directory is not emptied,
a volume group not dissolved.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING, Any, ClassVar

from corral_host.errors import BadSpec, HostError
from corral_host.kinds import pool_definition as xml
from corral_host.kinds.base import Comparison, Difference, Found, Kind, Spec

if TYPE_CHECKING:
    from corral_host.session import Session

#: Corral's namespace for names of things in libvirt, the same as in the documents.
NAMESPACE = uuid.UUID("6f1c2f0e-9a5d-4b7c-8d3e-0a1b2c3d4e5f")


def pool_uuid(name: str) -> str:
    """Return the uuid of Corral's pool of a name: nobody else's pool has it, so it is the mark."""
    digest = hashlib.sha1(NAMESPACE.bytes + f"pool:{name}".encode())  # noqa: S324 - as RFC 9562 has it
    return str(uuid.UUID(bytes=digest.digest()[:16], version=5))


class Pool(Kind):
    """A storage pool."""

    name: ClassVar[str] = "pool"
    properties: ClassVar[dict[str, str]] = {
        "definition": "type, uuid, source and target, in libvirt's XML",
        "state": "active: volumes can be reached",
        "autostart": "whether libvirt starts it when the host boots",
    }

    def __init__(self, session: Session) -> None:
        """List nothing yet."""
        super().__init__(session)
        self._pools: dict[str, Any] | None = None
        #: Pools that were read anew in this session: others may have changed what is in them.
        self._fresh: set[str] = set()

    def forget(self) -> None:
        """Drop the listing."""
        self._pools = None

    def _listed(self) -> dict[str, Any]:
        if self._pools is None:
            self._pools = {p.name(): p for p in self.session.libvirt().listAllStoragePools()}
        return self._pools

    def found(self) -> dict[str, Found]:
        """Return all pools that libvirt knows."""
        import libvirt  # noqa: PLC0415

        found = {}
        for name, pool in self._listed().items():
            says = xml.definition(pool.XMLDesc(libvirt.VIR_STORAGE_XML_INACTIVE))
            active = bool(pool.isActive())
            properties = {
                "definition": xml.text(says, sorted(set(says) - {"name"})),
                "state": "active" if active else "inactive",
                "autostart": "on" if pool.autostart() else "off",
            }
            detail: dict[str, Any] = {"uuid": pool.UUIDString()}
            if active:
                _state, detail["capacity"], _used, detail["available"] = pool.info()
            found[name] = Found(
                pool.UUIDString() == pool_uuid(name), properties["state"], properties, detail
            )
        return found

    def check(self, name: str, spec: Spec) -> None:
        """Raise ``BadSpec`` when the XML is not one of this pool."""
        says = xml.definition(_xml(name, spec))
        if says.get("name") != name:
            raise BadSpec(f"the XML of the pool {name} is one of {says.get('name')!r}")
        if says.get("uuid") != pool_uuid(name):
            raise BadSpec(f"the pool {name} must have the uuid {pool_uuid(name)}")

    def compare(self, name: str, spec: Spec) -> Comparison:
        """Compare the definitions (kept and in force), and whether it is started."""
        import libvirt  # noqa: PLC0415

        pool = self._listed().get(name)
        wanted = spec["ensure"] == "present"
        comparison = Comparison(pool is not None, wanted)
        if pool is None:
            return comparison
        if pool.UUIDString() != pool_uuid(name):
            reason = (
                f"libvirt has a pool {name} that Corral did not make, and leaves alone: rename it,"
                f" or remove it (its data stays) with: virsh pool-destroy {name};"
                f" virsh pool-undefine {name}"
            )
            ensure = "present" if wanted else "absent"
            comparison.refused.append(Difference("ensure", "made by others", ensure, reason))
            return comparison
        if not wanted:
            return comparison
        asked = xml.definition(_xml(name, spec))
        active = self._active(name, pool)
        for flags in (libvirt.VIR_STORAGE_XML_INACTIVE, 0) if active else (1,):
            says = xml.definition(pool.XMLDesc(flags))
            places = xml.differences(says, asked)
            if places:
                comparison.differences.append(
                    Difference("definition", xml.text(says, places), xml.text(asked, places))
                )
                break
        if not active:
            comparison.differences.append(Difference("state", "inactive", "active"))
        if not pool.autostart():
            comparison.differences.append(Difference("autostart", "off", "on"))
        return comparison

    def _active(self, name: str, pool: Any) -> bool:  # noqa: ANN401
        """Return whether the pool is started, and what it is made of still there."""
        import libvirt  # noqa: PLC0415

        if pool.isActive() and name not in self._fresh and _by_path(pool):
            self._fresh.add(name)
            try:
                pool.refresh()
            except libvirt.libvirtError:
                # libvirt stops a pool that cannot be read: starting it tells why.
                return False
        return bool(pool.isActive())

    def apply(self, name: str, spec: Spec, comparison: Comparison) -> None:
        """Define, start or remove the pool."""
        import libvirt  # noqa: PLC0415

        if any(one.property == "ensure" for one in comparison.refused):
            return
        pool = self._listed().get(name)
        self._fresh.discard(name)
        try:
            if not comparison.wanted:
                if pool.isActive():
                    pool.destroy()
                pool.undefine()
                return
            changed = any(one.property == "definition" for one in comparison.differences)
            if pool is None or changed:
                pool = self.session.libvirt().storagePoolDefineXML(_xml(name, spec), 0)
            if changed and pool.isActive():
                # Stopping a pool does not touch what is in it, nor who has that open.
                pool.destroy()
            if not pool.autostart():
                pool.setAutostart(1)
        except libvirt.libvirtError as error:
            raise HostError("pool_failed", f"the pool {name}: {error}") from error
        if not pool.isActive():
            self._start(name, pool)

    def _start(self, name: str, pool: Any) -> None:  # noqa: ANN401
        import libvirt  # noqa: PLC0415

        says = xml.definition(pool.XMLDesc(0))
        try:
            if says["type"] in ("dir", "netfs"):
                # Makes the directory where it is missing; a volume group must be there.
                pool.build(0)
            pool.create()
        except libvirt.libvirtError as error:
            place = says.get("source/host") or says.get("source/name") or says.get("target/path")
            raise HostError(
                "pool_unreachable",
                f"the pool {name} cannot be started: {error}. Is {place} there, and reached from"
                " this host?",
            ) from error


def _by_path(pool: Any) -> bool:  # noqa: ANN401
    """Whether reading a pool anew is quick: a Ceph pool is the whole fleet's."""
    return xml.definition(pool.XMLDesc(0))["type"] != "rbd"


def _xml(name: str, spec: Spec) -> str:
    text = spec.get("xml")
    if not isinstance(text, str):
        raise BadSpec(f"the pool {name} has no XML")
    return text
