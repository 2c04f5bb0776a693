"""A domain's XML taken apart into the properties that a report names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corral_host import libvirt_xml as x

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

#: All properties of a domain that its XML holds.
Parts = dict[str, x.Flat]

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

#: What of a device is another property, or libvirt's own business.
_LEAVE = frozenset(("alias", "boot", "iotune", "backingStore", "mirror"))


def parts(root: ET.Element) -> Parts:
    """Take a domain's XML apart into properties."""
    out: Parts = {name: {} for name in PROPERTIES}
    out["cpu"]["domain@type"] = root.get("type", "")
    for element in root:
        name = x.local(element)
        if name not in _APART:
            x.flatten(element, name, out[_TOP.get(name, "devices")], frozenset(("alias",)))
    _capacity(root, out)
    ours = x.vm_metadata(root)
    if ours is not None:
        x.flatten(ours, "vm", out["metadata"])
    tune = root.find("blkiotune")
    if tune is not None:
        x.flatten(tune, "blkiotune", out["disk_limits"])
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
        x.kib(one.find("target/requested")) - x.kib(one.find("target/current"))
        for one in x.virtio_mem(root)
    )
    current = root.find("currentMemory")
    now = x.kib(root.find("memory")) if current is None else x.kib(current)
    out["memory"] = {"KiB": str(now + asked)}
    out["memory_max"] = {"KiB": str(x.kib(root.find("memory")))}
    cpu = root.find("cpu")
    if cpu is not None:
        x.flatten(cpu, "cpu", out["cpu"], frozenset(("topology", "numa")))
        topology = cpu.find("topology")
        if topology is not None:
            x.flatten(topology, "topology", out["vcpus_max"])
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
        if device.tag in x.DISKS:
            key = x.disk_key(device)
            x.flatten(device, key, out["disks"], _LEAVE)
            for limit in device.iterfind("iotune/*"):
                if limit.text not in (None, "0"):
                    out["disk_limits"][f"{key} {limit.tag}"] = limit.text
        elif device.tag == "interface":
            key = x.nic_key(device)
            x.flatten(device, key, out["interfaces"], _LEAVE)
        elif device.get("model") == "virtio-mem":
            key = "memory"
        else:
            key = _other_key(device)
            seen[key] = seen.get(key, 0) + 1
            key = key if seen[key] == 1 else f"{key}#{seen[key]}"
            x.flatten(device, key, out["devices"], _LEAVE)
        if order is not None:
            out["boot"][f"order of {key}"] = order.get("order", "")


def _other_key(device: ET.Element) -> str:
    if device.tag == "controller":
        return f"controller {device.get('type')} {device.get('index', '0')}"
    target = device.find("target")
    if device.tag == "channel" and target is not None:
        return f"channel {target.get('name')}"
    return device.tag
