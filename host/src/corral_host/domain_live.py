"""Changes to a domain while it runs, without a restart: the same QEMU process before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from corral_host import domain_memory as memory
from corral_host import domain_parts as p
from corral_host import libvirt_xml as x
from corral_host.domain_power import wait
from corral_host.errors import HostError

if TYPE_CHECKING:
    from corral_host.domain_judge import Deviation

#: How long a guest may take to plug or unplug what it was asked to, in seconds.
GUEST_TIMEOUT = 5.0

#: Properties of libvirt's block limits, by the element of the XML.
_IOTUNE = (
    "total_bytes_sec",
    "read_bytes_sec",
    "write_bytes_sec",
    "total_iops_sec",
    "read_iops_sec",
    "write_iops_sec",
)


class LiveChanges:
    """What can be changed of one domain that runs."""

    def __init__(self, domain: Any, wanted: ET.Element) -> None:  # noqa: ANN401
        """``domain`` is libvirt's; ``wanted`` its persistent definition, as its spec wants it."""
        self.domain = domain
        self.wanted = wanted

    def root(self) -> ET.Element:
        """Return the live XML, read anew."""
        return x.parse(self.domain.XMLDesc(0), "the live XML")

    def apply(self, name: str, deviation: Deviation) -> str | None:
        """Change one property now. Returns why it could not be, or nothing when it is done."""
        import libvirt as lv  # noqa: PLC0415

        try:
            return getattr(self, f"_{name}")(deviation)
        except lv.libvirtError as error:
            return f"not while it runs, says libvirt: {error.get_error_message() or error}"

    def _title(self, _: Deviation) -> None:
        import libvirt as lv  # noqa: PLC0415

        title = self.wanted.findtext("title")
        kind = lv.VIR_DOMAIN_METADATA_TITLE
        self.domain.setMetadata(kind, title, None, None, lv.VIR_DOMAIN_AFFECT_LIVE)

    def _metadata(self, _: Deviation) -> None:
        import libvirt as lv  # noqa: PLC0415

        ours = x.vm_metadata(self.wanted)
        kind = lv.VIR_DOMAIN_METADATA_ELEMENT
        text = x.bare(ours)
        self.domain.setMetadata(kind, text, "corral", x.VM, lv.VIR_DOMAIN_AFFECT_LIVE)

    def _vcpus(self, _: Deviation) -> str | None:
        import libvirt as lv  # noqa: PLC0415

        root = self.root()
        vcpu = root.find("vcpu")
        most = int((vcpu.text if vcpu is not None else "1") or 1)
        count = min(int(p.parts(self.wanted)["vcpus"]["vcpus"]), most)
        if root.get("type") == "qemu" and count < int(p.parts(root)["vcpus"]["vcpus"]):
            # QEMU 7.2 was asked to, and died of a double free when a disk was plugged in next.
            return "without KVM, QEMU does not survive that a vCPU is taken away"
        self.domain.setVcpusFlags(count, lv.VIR_DOMAIN_AFFECT_LIVE)
        return None

    def _memory(self, _: Deviation) -> str | None:
        import libvirt as lv  # noqa: PLC0415

        root = self.root()
        wanted = int(p.parts(self.wanted)["memory"]["KiB"])
        asked, balloon = memory.reachable(root, wanted)
        devices = x.virtio_mem(root)
        if devices and asked != memory.requested(root):
            target = devices[0].find("target")
            element = target.find("requested") if target is not None else None
            if element is None:
                return "its memory device tells no requested size"
            element.text = str(asked)
            current = target.find("current")
            if current is not None:
                target.remove(current)
            text = ET.tostring(devices[0], encoding="unicode")
            self.domain.updateDeviceFlags(text, lv.VIR_DOMAIN_DEVICE_MODIFY_LIVE)
        if balloon != memory.balloon(root):
            self.domain.setMemoryFlags(balloon, lv.VIR_DOMAIN_AFFECT_LIVE)
            if not wait(lambda: memory.balloon(self.root()) == balloon, GUEST_TIMEOUT):
                return (
                    "the guest was asked and has not done it: it is busy or has no balloon driver"
                )
        return None

    def _cpu_limit(self, _: Deviation) -> None:
        import libvirt as lv  # noqa: PLC0415

        tune = self.wanted.find("cputune")
        limits = {}
        for place, name in (
            ("quota", "vcpu_quota"),
            ("emulator_quota", "emulator_quota"),
            ("global_quota", "global_quota"),
        ):
            period = name.replace("quota", "period")
            quota = int((tune.findtext(place) if tune is not None else None) or -1)
            if quota > 0 and tune is not None:
                limits[period] = int(tune.findtext(place.replace("quota", "period")) or 100000)
            limits[name] = quota
        known = self.domain.schedulerParametersFlags(lv.VIR_DOMAIN_AFFECT_LIVE)
        values = {key: value for key, value in limits.items() if key in known}
        self.domain.setSchedulerParametersFlags(values, lv.VIR_DOMAIN_AFFECT_LIVE)

    def _disk_limits(self, deviation: Deviation) -> str | None:
        import libvirt as lv  # noqa: PLC0415

        wanted, actual = x.disks(self.wanted), x.disks(self.root())
        for key in sorted({place.split(" ")[0] for place in deviation.places} & set(actual)):
            tune = wanted[key].find("iotune") if key in wanted else None
            values = {
                name: int((tune.findtext(name) if tune is not None else None) or 0)
                for name in _IOTUNE
            }
            self.domain.setBlockIoTune(key, values, lv.VIR_DOMAIN_AFFECT_LIVE)
        if any(place.startswith("blkiotune") for place in deviation.places):
            return "the limits of a container's block devices"
        return None

    def _disks(self, deviation: Deviation) -> str | None:
        wanted, actual = x.disks(self.wanted), x.disks(self.root())
        return self._plug(deviation, wanted, actual, lambda: x.disks(self.root()))

    def _interfaces(self, deviation: Deviation) -> str | None:
        import libvirt as lv  # noqa: PLC0415

        wanted, actual = x.nics(self.wanted), x.nics(self.root())
        for key in sorted(
            x.members(dict.fromkeys(deviation.places, "")) & set(wanted) & set(actual)
        ):
            # The live element, with what the spec says of what can be changed: the rest, its place
            # and its alias among it, has to be as it is.
            changed = _merged(actual[key], wanted[key])
            self.domain.updateDeviceFlags(changed, lv.VIR_DOMAIN_DEVICE_MODIFY_LIVE)
        return self._plug(deviation, wanted, actual, lambda: x.nics(self.root()))

    def _plug(
        self,
        deviation: Deviation,
        wanted: dict[str, ET.Element],
        actual: dict[str, ET.Element],
        again: Any,  # noqa: ANN401
    ) -> str | None:
        """Unplug what is too much, then plug in what is missing."""
        import libvirt as lv  # noqa: PLC0415

        touched = x.members(dict.fromkeys(deviation.places, ""))
        for key in sorted(touched & set(actual) - set(wanted)):
            text = ET.tostring(actual[key], encoding="unicode")
            self.domain.detachDeviceFlags(text, lv.VIR_DOMAIN_DEVICE_MODIFY_LIVE)
            if not wait(lambda key=key: key not in again(), GUEST_TIMEOUT):
                return f"the guest was asked to let go of {key} and has not done it yet"
        for key in sorted(touched & set(wanted) - set(actual)):
            text = ET.tostring(wanted[key], encoding="unicode")
            try:
                self.domain.attachDeviceFlags(text, lv.VIR_DOMAIN_DEVICE_MODIFY_LIVE)
            except lv.libvirtError as error:
                message = error.get_error_message() or error
                raise HostError("attach_failed", f"cannot plug in {key}: {message}") from error
        return None


def _merged(actual: ET.Element, wanted: ET.Element) -> str:
    """Return the element that is there with the wiring that the spec wants."""
    for name in ("source", "link", "bandwidth", "filterref"):
        for old in actual.findall(name):
            actual.remove(old)
        actual.extend(wanted.findall(name))
    return ET.tostring(actual, encoding="unicode")
