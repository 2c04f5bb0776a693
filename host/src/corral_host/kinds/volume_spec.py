"""What a volume's spec may hold."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

from corral_host.errors import BadSpec
from corral_host.kinds.images import check_image

TYPES = ("qcow2", "raw", "lvm", "rbd")
#: QEMU counts disks in sectors.
SECTOR = 512


def format_of(spec: dict[str, Any]) -> str:
    """Return how QEMU reads the volume: qcow2, or raw for all other types."""
    return "qcow2" if spec.get("type") == "qcow2" else "raw"


def size_of(spec: dict[str, Any]) -> int:
    """Return the size in whole sectors."""
    return -(-spec["size"] // SECTOR) * SECTOR


def check_volume(name: str, spec: dict[str, Any]) -> None:
    """Raise ``BadSpec``, which names the field."""
    where = f"volume {name}"
    if not name or "/" in name or "\0" in name or name.startswith((".", "-")):
        raise BadSpec(f"{where}: a volume's name is a file's name, and not hidden")
    pool = spec.get("pool")
    if not isinstance(pool, str) or not pool or "/" in pool or pool.startswith("."):
        raise BadSpec(f"{where}: pool must be the name of a pool, not {pool!r}")
    if spec.get("type") not in TYPES:
        raise BadSpec(f"{where}: type must be one of {', '.join(TYPES)}")
    size = spec.get("size")
    if type(size) is not int or size <= 0:
        raise BadSpec(f"{where}: size must be a number of bytes, not {size!r}")
    if spec.get("filled_from") is not None:
        check_image(f"{where}: filled_from", spec["filled_from"])
    if "unsupported" not in spec:
        _check_xml(where, name, spec)


def _check_xml(where: str, name: str, spec: dict[str, Any]) -> None:
    try:
        root = ET.fromstring(spec.get("xml") or "")  # noqa: S314 - the document is our own
    except (ET.ParseError, TypeError) as error:
        raise BadSpec(f"{where}: the XML cannot be read: {error}") from error
    capacity = root.find("capacity")
    if root.tag != "volume" or root.findtext("name") != name or capacity is None:
        raise BadSpec(f"{where}: the XML is not one of this volume")
    if capacity.get("unit", "bytes") != "bytes" or capacity.text != str(spec["size"]):
        raise BadSpec(f"{where}: the XML has another size than {spec['size']} bytes")
