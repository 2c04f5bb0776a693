"""A domain with room for all that can change while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.domains import disk, domain, nic

if TYPE_CHECKING:
    from corral_host.engine import Engine

LIMITS = "<iotune><read_iops_sec>500</read_iops_sec></iotune>"
MORE = (
    "<iotune><read_iops_sec>700</read_iops_sec><write_bytes_sec>1048576</write_bytes_sec></iotune>"
)
CDROM = """
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/>
      <target dev='sda' bus='sata'/>
      <readonly/>
    </disk>"""


def compare(engine: Engine, spec: dict[str, Any]) -> dict[str, Any]:
    engine.kind("domain").forget()
    result = engine.compare("domain", {"vm-1": spec})["vm-1"]
    assert result["error"] is None, result
    return result


def names(result: dict[str, Any], which: str = "differences") -> list[str]:
    return [one["property"] for one in result[which]]


def base(**wanted: Any) -> dict[str, Any]:
    """A domain with room for all that can change while it runs."""
    fields = {
        "vcpus_max": 4,
        "ram_max": 128,
        "quota": 50000,
        "cdrom": CDROM,
        "disks": [disk(0, "vol-1", limits=LIMITS)],
        "nics": [nic(1, 0)],
    }
    return domain(1, **{**fields, **wanted})
