"""What is on this host, for the heartbeat: as an unprivileged user, and whatever is not there.

An observation is ``{"facts": {...}, "things": {kind: {name: {...}}}}``. Nothing in it changes from
one moment to the next unless something happened, so that it is sent only then.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corral_host.facts import facts
from corral_host.files import read_json
from corral_host.kinds.document import STARTS, boot_id
from corral_host.kinds.network_links import GROUP
from corral_host.kinds.pool import pool_uuid
from corral_host.kinds.volume_marks import Marks

if TYPE_CHECKING:
    from corral_host.session import Settings

#: Corral's mark on a domain.
NAMESPACE = "urn:corral:vm:1"
#: libvirt's states of a domain by number; ``shutdown`` is a domain that still runs.
STATES = {
    1: "running",
    2: "running",
    3: "paused",
    4: "running",
    5: "stopped",
    6: "crashed",
    7: "paused",
}
POOL_STATES = {0: "inactive", 1: "building", 2: "active", 3: "degraded", 4: "inaccessible"}


def observe(settings: Settings) -> dict[str, Any]:
    """Return the observation. Parts that cannot be asked are left out, never guessed."""
    things: dict[str, Any] = {"bridge": bridges(), **ceph(settings.state_dir)}
    connection = connect(settings.libvirt_uri)
    if connection is not None:
        try:
            used: set[str] = set()
            things["domain"] = domains(connection, settings.state_dir, used)
            pools, volumes = storage(connection, settings.state_dir, used)
            things.update(pool=pools, volume=volumes)
        finally:
            connection.close()
    return {"facts": facts(), "things": things}


def connect(uri: str) -> Any:  # noqa: ANN401
    """Return a read-only connection to libvirt, or nothing where there is none."""
    try:
        import libvirt  # noqa: PLC0415 - hosts without hypervisor role have no python3-libvirt
    except ImportError:
        return None
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    try:
        return libvirt.openReadOnly(uri)
    except libvirt.libvirtError:
        return None


def states(connection: Any) -> dict[str, dict[str, str]]:  # noqa: ANN401
    """Return uuid and state of all domains by name, with one question to libvirt."""
    import libvirt  # noqa: PLC0415

    stats = connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE)
    return {
        one.name(): {
            "uuid": one.UUIDString(),
            "state": STATES.get(stat.get("state.state"), "unknown"),
        }
        for one, stat in stats
    }


def domains(connection: Any, state_dir: Path, used: set[str]) -> dict[str, Any]:  # noqa: ANN401
    """Return all domains by name, and what of each waits for its next start.

    The paths of the disks of those that are ours go to ``used``.
    """
    pending = read_json(state_dir / "pending.json")
    starts = pending.get(STARTS, {})
    same_boot = starts.get("boot_id") == boot_id()
    found = {}
    for domain, state in _each(connection.listAllDomains(), lambda one: one.state()[0]):
        xml = _xml(domain)
        if xml is None:
            continue
        name, mark = domain.name(), xml.find(f"metadata/{{{NAMESPACE}}}vm")
        if mark is not None:
            used |= disk_sources(xml)
        # Nothing waits in a domain that was started after the record was made, or that is stopped.
        waits = same_boot and starts.get("domain", {}).get(name) == domain.ID()
        found[name] = {
            "uuid": domain.UUIDString(),
            "state": STATES.get(state, "unknown"),
            "managed": mark is not None,
            "pending": pending.get("domain", {}).get(name, []) if waits else [],
            "detail": {
                "id": None if mark is None else mark.get("id"),
                "title": xml.findtext("title"),
                "vcpus": _number(xml.find("vcpu"), "current"),
                "memory": (_number(xml.find("currentMemory")) or 0) * 1024 or None,
                "persistent": bool(domain.isPersistent()),
                "autostart": bool(domain.autostart()),
            },
        }
    return found


def storage(
    connection: Any,  # noqa: ANN401
    state_dir: Path,
    used: set[str],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return all pools, and the volumes of those that are active; sizes in bytes.

    ``used`` are the paths of the disks of our domains.
    """
    pools, volumes = {}, {}
    for pool, info in _each(connection.listAllStoragePools(), lambda one: one.info()):
        detail: dict[str, Any] = {"uuid": pool.UUIDString(), "capacity": info[1]}
        xml = _xml(pool)
        if xml is not None:
            detail["kind"] = xml.get("type")
            detail["target"] = xml.findtext("target/path")
        managed = pool.UUIDString() == pool_uuid(pool.name())
        pools[pool.name()] = {
            "state": POOL_STATES.get(info[0], "unknown"),
            "managed": managed,
            "detail": detail,
        }
        if not pool.isActive():
            continue
        marks = Marks(state_dir, pool.name())
        for volume, about in _each(_volumes(pool), lambda one: one.info()):
            name = volume.name()
            # Two pools may each have a volume of one name.
            key = name if name not in volumes else f"{pool.name()}/{name}"
            volumes[key] = {
                "state": "present",
                "managed": volume.path() in used or marks.get(name) is not None,
                "detail": {"pool": pool.name(), "path": volume.path(), "capacity": about[1]},
            }
    return pools, volumes


def disk_sources(xml: ET.Element) -> set[str]:
    """Return the paths of a domain's disks, as libvirt names volumes."""
    sources = xml.findall("devices/disk/source")
    found = (one.get("file") or one.get("dev") or one.get("name") for one in sources)
    return {one for one in found if one}


def bridges(root: Path = Path("/sys/class/net")) -> dict[str, Any]:
    """Return the bridges of the kernel, with their ports."""
    found = {}
    for path in sorted(root.glob("*/bridge")):
        name = path.parent.name
        ports = sorted(one.name for one in (path.parent / "brif").glob("*"))
        found[name] = {
            "state": _read(path.parent / "operstate"),
            "managed": _read(path.parent / "netdev_group") == GROUP,
            "detail": {"mtu": _int(_read(path.parent / "mtu")), "ports": ports},
        }
    return found


def ceph(state_dir: Path) -> dict[str, Any]:
    """Return this host's OSDs by uuid and monitors by name, running or stopped.

    Ceph's folders are closed to others: what root saw of them last is in ``ceph.json``.
    """
    record = daemons()
    if record is None:
        record = read_json(state_dir / "ceph.json")
    running = _running()
    osds = {
        uuid: {
            "state": "running" if ("osd", number) in running else "stopped",
            "detail": {"id": number},
        }
        for uuid, number in record.get("osd", {}).items()
    }
    mons = {
        name: {"state": "running" if ("mon", name) in running else "stopped"}
        for name in record.get("mon", [])
    }
    return {kind: things for kind, things in (("osd", osds), ("mon", mons)) if things}


def daemons(root: Path = Path("/var/lib/ceph")) -> dict[str, Any] | None:
    """Return uuid and number of the OSDs and the names of the monitors that have a folder here.

    Nothing at all when the folders may not be read.
    """
    # The folders below are no more closed than this one is.
    if root.exists() and not os.access(root, os.R_OK | os.X_OK):
        return None
    osds = {_read(path / "fsid"): path.name.rpartition("-")[2] for path in root.glob("osd/*-*")}
    osds.pop("", None)
    mons = sorted(path.name.partition("-")[2] for path in root.glob("mon/*-*"))
    return {"osd": osds, "mon": mons}


def _running() -> set[tuple[str, str]]:
    """Return the Ceph daemons that run: their kind and id."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        program = words[0].rpartition("/")[2]
        if program in ("ceph-osd", "ceph-mon"):
            for number, word in enumerate(words):
                if word in ("-i", "--id") and number + 1 < len(words):
                    found.add((program[5:], words[number + 1]))
                elif word.startswith("--id="):
                    found.add((program[5:], word[5:]))
    return found


def _each(things: list[Any], ask: Any) -> Any:  # noqa: ANN401
    """Yield each thing with the answer; those that went away meanwhile are left out."""
    import libvirt  # noqa: PLC0415

    for one in things:
        try:
            yield one, ask(one)
        except libvirt.libvirtError:  # noqa: PERF203 - it went away
            continue


def _volumes(pool: Any) -> list[Any]:  # noqa: ANN401
    import libvirt  # noqa: PLC0415

    try:
        return pool.listAllVolumes()
    except libvirt.libvirtError:
        return []


def _xml(thing: Any) -> ET.Element | None:  # noqa: ANN401
    import libvirt  # noqa: PLC0415

    try:
        return ET.fromstring(thing.XMLDesc(0))  # noqa: S314 - libvirt's own words
    except (libvirt.libvirtError, ET.ParseError):
        return None


def _number(element: ET.Element | None, attribute: str | None = None) -> int | None:
    if element is None:
        return None
    return _int((attribute and element.get(attribute)) or (element.text or "").strip())


def _int(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
