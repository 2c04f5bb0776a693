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
#: Elements of a domain that are its disks.
DISKS = ("disk", "filesystem")

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
    return {disk_key(one): one for one in root.iterfind("devices/*") if one.tag in DISKS}


def nics(root: ET.Element) -> dict[str, ET.Element]:
    """Return interfaces by MAC."""
    return {nic_key(one): one for one in root.iterfind("devices/interface")}


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
