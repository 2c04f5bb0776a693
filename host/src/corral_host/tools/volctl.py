"""The command ``volctl``: the volumes of this host's pools."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from corral_host.errors import HostError
from corral_host.kinds.volume import Volume
from corral_host.observe import NAMESPACE, disk_sources
from corral_host.tools.common import Command, human, owned, size, table

if TYPE_CHECKING:
    from argparse import Namespace

    from corral_host.tools.common import Host

EXAMPLES = """a volume is NAME, POOL/NAME, or its path

examples:
  volctl list
  volctl create scratch test.qcow2 20G
  volctl clone vol-17 before-upgrade.qcow2      also of Corral's volumes, when no VM has it open
  volctl import ./debian.qcow2 scratch debian.qcow2
  volctl snapshot test.qcow2 monday
  volctl resize vol-17 40G                      not Corral's: the refusal says how instead
"""

Result = tuple[int, Any, str]

#: Names that Corral gives its own volumes.
RESERVED = re.compile(r"vol-\d+")
#: Seconds that copying may take.
COPYING = 86400


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    command = Command("volctl", "Look at and act on the volumes of this host.", EXAMPLES)
    volume = ("volume", {"metavar": "VOLUME"})
    pool, name = ("pool", {"metavar": "POOL"}), ("name", {"metavar": "NAME"})
    bytes_ = ("size", {"type": size, "metavar": "SIZE"})
    form = (
        "--format",
        {"choices": ["qcow2", "raw"], "help": "default: qcow2 in folders, else raw"},
    )
    in_pool = ("--pool", {"metavar": "POOL"})
    command.add("list", list_, "show all, Corral's and others'", in_pool)
    command.add("info", info, "show one, and who uses it", volume)
    command.add("create", create, "make an empty one", pool, name, bytes_, form)
    command.add("clone", clone, "copy one, in its pool", volume, name)
    command.add("resize", resize, "enlarge one; not Corral's", volume, bytes_)
    command.add("snapshot", snapshot, "keep what is in one now, inside of it", volume, name)
    command.add("delete", delete, "remove one and its data; not Corral's", volume)
    file = ("file", {"type": Path, "metavar": "FILE"})
    command.add("import", import_, "make one of an image file", file, pool, name, form)
    return command.run(arguments)


class Volumes:
    """All volumes of this host, who owns them and who uses them."""

    def __init__(self, host: Host) -> None:
        """List them once."""
        self.host = host
        self.found = Volume(host.session).found()
        #: Domains by the path of a disk: name, whether it is Corral's, whether it runs.
        self.users: dict[str, list[tuple[str, bool, bool]]] = {}
        for domain in host.libvirt.listAllDomains():
            xml = ET.fromstring(domain.XMLDesc(0))  # noqa: S314 - libvirt's
            mine = xml.find(f"metadata/{{{NAMESPACE}}}vm") is not None
            for path in disk_sources(xml):
                user = (domain.name(), mine, bool(domain.isActive()))
                self.users.setdefault(path, []).append(user)

    def data(self, key: str) -> dict[str, Any]:
        """Return what is known of a volume, as plain data."""
        one = self.found[key]
        users = self.users.get(one.detail["path"], [])
        return {
            "name": key.rpartition("/")[2],
            "pool": one.detail["pool"],
            "path": one.detail["path"],
            "capacity": int(one.properties["capacity"]),
            "format": one.properties["format"],
            "managed": one.managed or any(mine for _, mine, _ in users),
            "used_by": [name for name, _, _ in users],
            "open_in": [name for name, _, running in users if running],
        }

    def find(self, text: str) -> dict[str, Any]:
        """Return a volume by name, pool and name, or path. Raises ``HostError``."""
        for key in self.found:
            data = self.data(key)
            if text in (key, f"{data['pool']}/{data['name']}", data["path"]):
                return data
        raise HostError("not_found", f"there is no volume {text} in the active pools of this host")

    def others(self, text: str, change: dict[str, Any] | None) -> dict[str, Any]:
        """Return a volume that is not Corral's. Raises the refusal for one that is."""
        data = self.find(text)
        if data["managed"]:
            what = f"the volume {data['name']}"
            if change is None:
                url = f"{self.host.url}/api/v1/volumes/{data['name']}"
                raise owned(what, f'curl -X DELETE -H "Authorization: Bearer $CORRAL_TOKEN" {url}')
            raise owned(what, self.host.patch("volumes", data["name"], change))
        return data

    def libvirt(self, data: dict[str, Any]) -> Any:  # noqa: ANN401
        """Return libvirt's volume."""
        pool = self.host.libvirt.storagePoolLookupByName(data["pool"])
        return pool.storageVolLookupByName(data["name"])


def list_(host: Host, asked: Namespace) -> Result:
    """Show all volumes."""
    volumes = Volumes(host)
    found = [volumes.data(key) for key in sorted(volumes.found)]
    found = [one for one in found if asked.pool in (None, one["pool"])]
    rows = [["POOL", "NAME", "SIZE", "FORMAT", "CORRAL", "USED BY"]]
    for one in found:
        words = [one["pool"], one["name"], human(one["capacity"]), one["format"]]
        rows.append([*words, "yes" if one["managed"] else "no", ", ".join(one["used_by"])])
    return 0, found, table(rows)


def info(host: Host, asked: Namespace) -> Result:
    """Show one volume."""
    volumes = Volumes(host)
    data = volumes.find(asked.volume)
    data["allocation"] = volumes.libvirt(data).info()[2]
    return 0, data, "\n".join(f"{key}: {value}" for key, value in data.items())


def create(host: Host, asked: Namespace) -> Result:
    """Make an empty volume."""
    pool = _pool(host, asked.pool, asked.name)
    volume = pool.createXML(_xml(pool, asked.name, asked.size, asked.format))
    return _done(volume, "made")


def clone(host: Host, asked: Namespace) -> Result:
    """Copy a volume that nobody writes to."""
    volumes = Volumes(host)
    data = volumes.find(asked.volume)
    _closed(data)
    pool = _pool(host, data["pool"], asked.name)
    text = _xml(pool, asked.name, data["capacity"], data["format"])
    volume = pool.createXMLFrom(text, volumes.libvirt(data), 0)
    return _done(volume, f"copied from {data['name']}")


def resize(host: Host, asked: Namespace) -> Result:
    """Enlarge a volume, also one that a running domain has open."""
    import libvirt  # noqa: PLC0415

    volumes = Volumes(host)
    data = volumes.others(asked.volume, {"size": asked.size})
    if asked.size < data["capacity"]:
        raise HostError("smaller", f"{data['name']} has {data['capacity']} bytes: it only grows")
    for name in data["open_in"]:
        flags = libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES
        host.libvirt.lookupByName(name).blockResize(data["path"], asked.size, flags)
    volume = volumes.libvirt(data)
    if not data["open_in"] and asked.size > data["capacity"]:
        volume.resize(asked.size)
    return _done(volume, f"{human(asked.size)}")


def snapshot(host: Host, asked: Namespace) -> Result:
    """Make a snapshot inside a qcow2 volume that nobody has open."""
    data = Volumes(host).find(asked.volume)
    if data["format"] != "qcow2":
        raise HostError(
            "no_snapshots",
            f"{data['name']} is {data['format']}: only qcow2 keeps snapshots; of RBD images"
            " `rbd snap create` makes one, or copy it with `volctl clone`",
        )
    _closed(data)
    host.session.run(["qemu-img", "snapshot", "-c", asked.name, data["path"]], timeout=COPYING)
    result = {"name": data["name"], "snapshot": asked.name, "changed": True}
    return 0, result, f"{data['name']}: snapshot {asked.name} made"


def delete(host: Host, asked: Namespace) -> Result:
    """Remove a volume that no domain names."""
    volumes = Volumes(host)
    data = volumes.others(asked.volume, None)
    if data["used_by"]:
        raise HostError("in_use", f"{data['name']} is a disk of {', '.join(data['used_by'])}")
    volumes.libvirt(data).delete(0)
    return 0, {"name": data["name"], "changed": True}, f"{data['name']}: removed"


def import_(host: Host, asked: Namespace) -> Result:
    """Make a volume of an image file; it has its name when it is complete."""
    pool = _pool(host, asked.pool, asked.name)
    kind = ET.fromstring(pool.XMLDesc(0)).get("type", "")  # noqa: S314 - libvirt's
    if kind not in ("dir", "fs", "netfs", "logical"):
        raise HostError(
            "pool_kind", f"the pool {asked.pool} is of kind {kind}: `rbd import` does it"
        )
    if not asked.file.is_file():
        raise HostError("no_file", f"there is no file {asked.file}")
    # The image's own format is found out by qemu-img; it must not name other files of this host.
    text = host.session.run(["qemu-img", "info", "--output=json", str(asked.file)]).stdout
    about = json.loads(text)
    if "backing-filename" in about or "data-file" in json.dumps(about.get("format-specific", {})):
        raise HostError("bad_image", f"{asked.file} is made of other files: convert it first")
    form = asked.format or ("raw" if kind == "logical" else "qcow2")
    volume = pool.createXML(_xml(pool, asked.name, about["virtual-size"], form))
    convert = ["qemu-img", "convert", "-f", about["format"], "-O", form, "-n"]
    try:
        host.session.run([*convert, str(asked.file), volume.path()], timeout=COPYING)
    except BaseException:
        volume.delete(0)
        raise
    pool.refresh()
    return _done(volume, f"made of {asked.file}")


def _pool(host: Host, name: str, volume: str) -> Any:  # noqa: ANN401
    """Return a pool for a new volume of this name. Raises ``HostError``."""
    import libvirt  # noqa: PLC0415

    if RESERVED.fullmatch(volume):
        raise owned(
            f"the name {volume}", f"give it another name, or POST {host.url}/api/v1/volumes"
        )
    try:
        pool = host.libvirt.storagePoolLookupByName(name)
    except libvirt.libvirtError as error:
        raise HostError("not_found", f"there is no pool {name} on this host") from error
    if not pool.isActive():
        raise HostError("pool_inactive", f"the pool {name} is not started")
    return pool


def _xml(pool: Any, name: str, capacity: int, form: str | None) -> str:  # noqa: ANN401
    """Return a new volume's XML; ``form`` is qcow2 in folders and raw elsewhere, when not given."""
    kind = ET.fromstring(pool.XMLDesc(0)).get("type", "")  # noqa: S314 - libvirt's
    volume = ET.Element("volume")
    ET.SubElement(volume, "name").text = name
    ET.SubElement(volume, "capacity", unit="bytes").text = str(capacity)
    if kind in ("dir", "fs", "netfs"):
        ET.SubElement(volume, "allocation").text = "0"
        target = ET.SubElement(volume, "target")
        ET.SubElement(target, "format", type=form or "qcow2")
    elif form == "qcow2":
        raise HostError("bad_usage", f"a pool of kind {kind} holds raw volumes only")
    return ET.tostring(volume, encoding="unicode")


def _closed(data: dict[str, Any]) -> None:
    """Raise for a volume that a running domain writes to."""
    if data["open_in"]:
        names = ", ".join(data["open_in"])
        raise HostError("in_use", f"{data['name']} is open in {names}, which must not run")


def _done(volume: Any, text: str) -> Result:  # noqa: ANN401
    name = volume.name()
    return 0, {"name": name, "path": volume.path(), "changed": True}, f"{name}: {text}"


if __name__ == "__main__":
    sys.exit(main())
