"""What needs a guest: memory that it plugs, vCPUs and devices that it gives back, its button."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.domains import FOLDER, clear, disk, domain, nic, qemu_pid
from support.libvirt import virsh

from corral_host.engine import Engine
from corral_host.session import Session, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

GUEST = Path(__file__).parents[2] / "test/e2e/guest.sh"
NEEDS = ("busybox", "cpio", "mcopy", "syslinux")

pytestmark = pytest.mark.skipif(
    not GUEST.exists()
    or not list(Path("/boot").glob("vmlinuz-*-cloud-amd64"))
    or any(shutil.which(one) is None for one in NEEDS),
    reason="the small Linux guest cannot be made here",
)

#: Without KVM and beside other tests a guest takes its time.
BOOT = 240


@pytest.fixture
def host(libvirtd, tmp_path) -> Iterator[Engine]:
    session = Session(Settings(state_dir=tmp_path / "state", shutdown_timeout=60))
    yield Engine(session)
    session.close()
    clear()


def boot(host, **wanted):
    FOLDER.mkdir(parents=True, exist_ok=True)
    image = FOLDER / "guest.img"
    subprocess.run(["sh", str(GUEST), str(image)], check=True)
    image.chmod(0o666)

    def spec(**more):
        fields = {"ram": 192, "ram_max": 320, "vcpus_max": 2, **wanted, **more}
        first = disk(0, "guest", path=str(image))
        return domain(1, **{**fields, "disks": [first, *fields.get("disks", [])]})

    host.apply("domain", "vm-1", spec())
    end = time.monotonic() + BOOT
    ping = '{"execute":"guest-ping"}'
    while "return" not in virsh("qemu-agent-command", "vm-1", ping, check=False):
        assert time.monotonic() < end, "the guest does not come up"
        time.sleep(0.5)
    return spec


def log():
    return Path("/var/log/libvirt/qemu/vm-1.log").read_text()[-1500:]


def differs(host, spec):
    host.kind("domain").forget()
    result = host.compare("domain", {"vm-1": spec})["vm-1"]
    assert result["error"] is None
    return result


def test_a_guest_follows(host):
    spec = boot(host)
    pid = qemu_pid("vm-1")
    # Up to a memory device, back, and below what it started with by its balloon.
    for ram in (256, 192, 160, 192):
        assert [one["property"] for one in differs(host, spec(ram=ram))["differences"]] == [
            "memory"
        ]
        host.apply("domain", "vm-1", spec(ram=ram))
        end = time.monotonic() + 30
        while (after := differs(host, spec(ram=ram)))["pending"]:
            assert time.monotonic() < end, after
            time.sleep(0.5)
        assert after["differences"] == []
        has = re.search(r"<currentMemory unit='KiB'>(\d+)<", virsh("dumpxml", "vm-1"))
        assert abs(int(has[1]) - ram * 1024) <= 4096
    # A vCPU more and less, a disk and an interface more and less.
    for more in (
        {"disks": [disk(1, "vol-2")]},
        {"nics": [nic(1, 0), nic(1, 1)]},
        {"vcpus": 2},
    ):
        host.apply("domain", "vm-1", spec(**more))
        assert differs(host, spec(**more))["differences"] == []
        time.sleep(3)
        assert qemu_pid("vm-1") == pid, f"{more} {log()}"
        host.apply("domain", "vm-1", spec())
        after = differs(host, spec())
        assert after["differences"] == []
        assert qemu_pid("vm-1") == pid, f"less {more} {log()}"
        print(list(more), "not given back:", after["pending"])  # noqa: T201
    start = time.monotonic()
    host.apply("domain", "vm-1", {**spec(), "state": "stopped"})
    print(f"stopped after {time.monotonic() - start:.1f} s")  # noqa: T201
