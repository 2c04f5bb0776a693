"""Domain XML as properties that can be compared.

A property is a flat mapping from a place (``vda driver@cache``) to its text. Corral's XML and
libvirt's persistent and live XML become the same kind of mapping. Two texts that libvirt made are
compared exactly; Corral's text against one that libvirt made by containment, because libvirt adds
aliases, addresses, default controllers and the like.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from corral_host.errors import BadSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Corral's metadata: a domain that carries it was made by Corral.
VM = "urn:corral:vm:1"
#: Corral's note in the persistent definition of what it was made of.
APPLIED = "urn:corral:applied:1"

#: A property's places and texts.
Flat = dict[str, str]
#: All properties of a domain that its XML holds.
Parts = dict[str, Flat]

PROPERTIES = (
    "title",
    "metadata",
    "vcpus",
    "vcpus_max",
    "memory",
    "memory_max",
    "cpu_limit",
    "cpu",
    "boot",
    "clock",
    "disks",
    "disk_limits",
    "interfaces",
    "devices",
)

#: Which property holds an element of the first level; all that is not named here is in ``devices``.
_TOP = {
    "title": "title",
    "cputune": "cpu_limit",
    "os": "boot",
    "features": "boot",
    "pm": "boot",
    "on_poweroff": "boot",
    "on_reboot": "boot",
    "on_crash": "boot",
    "clock": "clock",
}

#: Elements of the first level that are identity, not properties, or are read by themselves.
_APART = {
    "name",
    "uuid",
    "description",
    "metadata",
    "memory",
    "currentMemory",
    "maxMemory",
    "vcpu",
    "vcpus",
    "cpu",
    "blkiotune",
    "devices",
}

#: Attributes that tell elements of one name and parent apart.
_KEYS = ("key", "name", "id")

_UNITS = {"b": 1, "bytes": 1, "KiB": 1024, "k": 1024, "MiB": 1024**2, "GiB": 1024**3}


def parse(text: str, where: str) -> ET.Element:
    """Parse XML of ``where``. Raises ``BadSpec`` when it is none."""
    try:
        # libvirt's own text, or that of the node's document, which comes from a trusted server.
        return ET.fromstring(text)  # noqa: S314
    except (ET.ParseError, TypeError, ValueError) as error:
        raise BadSpec(f"{where} is not well-formed XML: {error}") from error


def local(element: ET.Element) -> str:
    """Return an element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def kib(element: ET.Element | None) -> int:
    """Return a size element in KiB, 0 without one. libvirt's default unit is KiB."""
    if element is None:
        return 0
    return int(element.text or 0) * _UNITS.get(element.get("unit", "KiB"), 1024) // 1024


def flatten(
    element: ET.Element, place: str, out: Flat, leave: frozenset[str] = frozenset()
) -> None:
    """Write attributes, text and children of an element below ``place``, but those in ``leave``."""
    out[place] = _plain(element.text or "")
    for name, value in element.attrib.items():
        out[f"{place}@{name}"] = _plain(value)
    seen: dict[str, int] = {}
    for child in element:
        name = local(child)
        if name in leave:
            continue
        key = next((child.get(one) for one in _KEYS if child.get(one) is not None), None)
        step = name if key is None else f"{name}[{_plain(key)}]"
        seen[step] = seen.get(step, 0) + 1
        flatten(child, f"{place} {step}" + (f"#{seen[step]}" if seen[step] > 1 else ""), out, leave)


def _plain(text: str) -> str:
    """Return a text with single blanks: XML itself does not keep all white space."""
    return " ".join(text.split())


def disk_key(element: ET.Element) -> str:
    """Return what tells a disk or filesystem from the domain's others: where the guest has it."""
    target = element.find("target")
    return "?" if target is None else target.get("dev") or target.get("dir") or "?"


def nic_key(element: ET.Element) -> str:
    """Return what tells an interface from the others of its domain: its MAC."""
    mac = element.find("mac")
    return "?" if mac is None else mac.get("address", "?").lower()


def disks(root: ET.Element) -> dict[str, ET.Element]:
    """Return disks and filesystems by target."""
    return {disk_key(one): one for one in root.iterfind("devices/*") if one.tag in _DISKS}


def nics(root: ET.Element) -> dict[str, ET.Element]:
    """Return interfaces by MAC."""
    return {nic_key(one): one for one in root.iterfind("devices/interface")}


_DISKS = ("disk", "filesystem")
_DEVICE_LEAVE = frozenset(("alias", "boot", "iotune", "backingStore", "mirror"))


def vm_metadata(root: ET.Element) -> ET.Element | None:
    """Return Corral's metadata element, or nothing for a domain that is not Corral's."""
    return root.find(f"metadata/{{{VM}}}vm")


def virtio_mem(root: ET.Element) -> list[ET.Element]:
    """Return the memory devices that can be resized while the domain runs."""
    return root.findall("devices/memory[@model='virtio-mem']")


def boot_memory(root: ET.Element) -> int:
    """Return the memory that is there at start in KiB: all but the devices."""
    return kib(root.find("memory")) - sum(
        kib(one.find("target/size")) for one in root.iterfind("devices/memory")
    )


def parts(root: ET.Element) -> Parts:
    """Take a domain's XML apart into properties."""
    out: Parts = {name: {} for name in PROPERTIES}
    out["cpu"]["domain@type"] = root.get("type", "")
    for element in root:
        name = local(element)
        if name not in _APART:
            flatten(element, name, out[_TOP.get(name, "devices")], frozenset(("alias",)))
    _capacity(root, out)
    ours = vm_metadata(root)
    if ours is not None:
        flatten(ours, "vm", out["metadata"])
    tune = root.find("blkiotune")
    if tune is not None:
        flatten(tune, "blkiotune", out["disk_limits"])
    _devices(root, out)
    return out


def _capacity(root: ET.Element, out: Parts) -> None:
    """VCPUs, memory and the processor. Topology follows the vCPUs, NUMA cells the memory."""
    vcpu = root.find("vcpu")
    most = "1" if vcpu is None else (vcpu.text or "1").strip()
    out["vcpus_max"] = {"vcpus": most}
    out["vcpus"] = {"vcpus": most if vcpu is None else vcpu.get("current", most)}
    # While it runs, the current memory counts what the guest has plugged; what counts is the wish.
    asked = sum(
        kib(one.find("target/requested")) - kib(one.find("target/current"))
        for one in virtio_mem(root)
    )
    current = root.find("currentMemory")
    now = kib(root.find("memory")) if current is None else kib(current)
    out["memory"] = {"KiB": str(now + asked)}
    out["memory_max"] = {"KiB": str(kib(root.find("memory")))}
    cpu = root.find("cpu")
    if cpu is not None:
        flatten(cpu, "cpu", out["cpu"], frozenset(("topology", "numa")))
        topology = cpu.find("topology")
        if topology is not None:
            flatten(topology, "topology", out["vcpus_max"])
    limit = out["cpu_limit"]
    limit.pop("cputune", None)
    # A quota that is not above 0 is none, and a period by itself limits nothing.
    for which in ("", "emulator_", "global_", "iothread_"):
        if int(limit.get(f"cputune {which}quota", "0")) <= 0:
            limit.pop(f"cputune {which}quota", None)
            limit.pop(f"cputune {which}period", None)


def _devices(root: ET.Element, out: Parts) -> None:
    seen: dict[str, int] = {}
    for device in root.iterfind("devices/*"):
        order = device.find("boot")
        if device.tag in _DISKS:
            key = disk_key(device)
            flatten(device, key, out["disks"], _DEVICE_LEAVE)
            for limit in device.iterfind("iotune/*"):
                if limit.text not in (None, "0"):
                    out["disk_limits"][f"{key} {limit.tag}"] = limit.text
        elif device.tag == "interface":
            key = nic_key(device)
            flatten(device, key, out["interfaces"], _DEVICE_LEAVE)
        elif device.get("model") == "virtio-mem":
            key = "memory"
        else:
            key = _other_key(device)
            seen[key] = seen.get(key, 0) + 1
            key = key if seen[key] == 1 else f"{key}#{seen[key]}"
            flatten(device, key, out["devices"], _DEVICE_LEAVE)
        if order is not None:
            out["boot"][f"order of {key}"] = order.get("order", "")


def _other_key(device: ET.Element) -> str:
    if device.tag == "controller":
        return f"controller {device.get('type')} {device.get('index', '0')}"
    target = device.find("target")
    if device.tag == "channel" and target is not None:
        return f"channel {target.get('name')}"
    return device.tag


def members(flat: Flat) -> set[str]:
    """Return the devices of ``disks`` or ``interfaces``: places without a blank."""
    return {member(place) for place in flat}


def member(place: str) -> str:
    """Return the device of a place."""
    return re.split("[@ ]", place, maxsplit=1)[0]


def lacking(wanted: Flat, actual: Flat) -> Iterator[str]:
    """Places of Corral's text that libvirt's does not have, or has otherwise."""
    for place, value in wanted.items():
        there = actual.get(place)
        if there != value and not alias(place, value, there):
            yield place


def alias(place: str, wanted: str, actual: str | None) -> bool:
    """Whether libvirt only made it more exact: the machine q35 becomes pc-q35-7.2."""
    if place != "os type@machine" or actual is None:
        return False
    alias = "i440fx" if wanted == "pc" else wanted
    return re.fullmatch(rf"(pc-)?{re.escape(alias)}-[\w.+]+", actual) is not None


def changed(one: Flat, other: Flat) -> list[str]:
    """Places that two texts of the same maker do not have alike."""
    return sorted(place for place in {**one, **other} if one.get(place) != other.get(place))


def bare(element: ET.Element) -> str:
    """Return an element's text without namespaces: libvirt puts it into the one that it is told."""

    def copy(one: ET.Element) -> ET.Element:
        new = ET.Element(local(one), one.attrib)
        new.text = one.text
        new.extend(copy(child) for child in one)
        return new

    return ET.tostring(copy(element), encoding="unicode")
