"""Memory of a domain that runs: the balloon below what it started with, a memory device above."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corral_host import libvirt_xml as x

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET


def requested(root: ET.Element) -> int:
    """Return what the memory devices were asked to give, in KiB."""
    return sum(x.kib(one.find("target/requested")) for one in x.virtio_mem(root))


def plugged(root: ET.Element) -> int:
    """Return what the guest has taken of the memory devices, in KiB."""
    return sum(x.kib(one.find("target/current")) for one in x.virtio_mem(root))


def behind(root: ET.Element) -> bool:
    """Return whether the guest has not done what its memory device was asked to.

    A guest seldom gives back the last blocks; less than a part in 32 is not worth a word.
    """
    total = x.kib(root.find("currentMemory"))
    return abs(requested(root) - plugged(root)) * 32 > total


def balloon(root: ET.Element) -> int:
    """Return what the guest has of the memory that it started with, in KiB."""
    return x.kib(root.find("currentMemory")) - plugged(root)


def reachable(root: ET.Element, wanted: int) -> tuple[int, int]:
    """Return what to ask of the memory device and of the balloon to come to ``wanted`` KiB."""
    boot = x.boot_memory(root)
    devices = x.virtio_mem(root)
    if not devices or wanted <= boot:
        return 0, min(wanted, boot)
    block = x.kib(devices[0].find("target/block")) or 2048
    more = -(-(wanted - boot) // block) * block
    return min(more, x.kib(devices[0].find("target/size"))), boot
