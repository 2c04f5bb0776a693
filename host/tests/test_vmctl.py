"""vmctl on a real libvirt, with domains that boot nothing."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import domains
from support.libvirt import virsh
from support.tools import tool

from corral_host.observe import observe
from corral_host.session import Settings
from corral_host.tools.power import shutdown

libvirt = pytest.importorskip("libvirt")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.libvirt import Libvirtd

XML = """<domain type='qemu'>
  <name>{name}</name><metadata>{mark}</metadata>
  <memory unit='MiB'>64</memory><currentMemory unit='MiB'>32</currentMemory>
  <vcpu current='1'>2</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
  <cpu mode='custom' match='exact'><model>qemu64</model></cpu>
  <devices>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-root-port'/>
    <controller type='pci' index='2' model='pcie-root-port'/>
    <controller type='pci' index='3' model='pcie-root-port'/>
    <serial type='pty'/><video><model type='vga'/></video>
    <memballoon model='virtio'/>
  </devices>
</domain>"""
MARK = "<vm xmlns='urn:corral:vm:1' id='7'/>"


def vmctl(*arguments: str, data: bytes = b"") -> tuple[int, Any, str]:
    done = tool("vmctl", *arguments, "--json", data=data)
    return done.returncode, json.loads(done.stdout or b"null"), done.stderr.decode()


@pytest.fixture(scope="module")
def two(libvirtd: Libvirtd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """vm-7 of Corral's and test of somebody else's."""
    Path("/etc/corral/hostd.conf").write_text("[hostd]\nurl = https://corral.example.net\n")
    for name, mark in (("vm-7", MARK), ("test", "")):
        path = tmp_path_factory.mktemp(name) / "domain.xml"
        path.write_text(XML.format(name=name, mark=mark))
        virsh("define", str(path))
    yield
    for name in ("vm-7", "test"):
        virsh("destroy", name, check=False)
        virsh("undefine", name, check=False)


@pytest.fixture(autouse=True)
def _running(two: None) -> None:
    for name in ("vm-7", "test"):
        virsh("start", name, check=False)


def test_list_and_status() -> None:
    status, found, _ = vmctl("list")
    assert status == 0
    assert {name: (one["state"], one["managed"]) for name, one in found.items()} == {
        "vm-7": ("running", True),
        "test": ("running", False),
    }
    assert found["vm-7"]["detail"]["id"] == "7"
    status, one, _ = vmctl("status", "7")
    assert (one["name"], one["agent"], one["detail"]["memory"]) == ("vm-7", "missing", 64 << 20)
    text = tool("vmctl", "list").stdout.decode()
    assert "vm-7  running" in text


def test_names() -> None:
    uuid = virsh("domuuid", "vm-7")
    for name in ("vm-7", "7", uuid):
        assert vmctl("is-running", name)[:2] == (0, {"running": True})
    status, answer, _ = vmctl("status", "8")
    assert (status, answer["error"]["code"]) == (4, "not_found")
    assert tool("vmctl", "status", "8").stderr == (
        b"vmctl: there is no virtual machine 8 on this host\n"
    )


def test_power() -> None:
    assert vmctl("pause", "test")[0] == 0
    assert vmctl("is-running", "test")[0] == 1
    assert vmctl("resume", "test")[0] == 0
    assert vmctl("reset", "test")[0] == 0
    assert vmctl("reboot", "test")[1]["used"] == "ACPI"
    # There is no guest that could hear the agent or ACPI.
    status, result, err = vmctl("shutdown", "test", "--timeout", "1")
    assert (status, result["used"]) == (0, "SIGTERM")
    assert result["tried"] == ["guest agent: missing", "ACPI: not within 1 s"]
    assert "belongs to Corral" not in err
    assert vmctl("shutdown", "test")[1]["changed"] is False
    assert vmctl("reset", "test")[0] == 1
    assert vmctl("start", "test")[0] == 0
    assert vmctl("start", "test")[1]["changed"] is False


def test_power_of_corrals_is_allowed_and_warned_of() -> None:
    for command, state in (("pause", "paused"), ("resume", "running")):
        status, _, err = vmctl(command, "7")
        assert status == 0
        assert "the next run makes it what Corral says again" in err
        body = json.dumps({"state": state})
        assert f"-d '{body}' https://corral.example.net/api/v1/vms/7" in err


def test_what_hears_nothing_is_ended() -> None:
    """A QEMU under SIGSTOP takes neither agent nor ACPI."""
    virsh("suspend", "test")
    os.kill(int(Path("/run/libvirt/qemu/test.pid").read_text()), signal.SIGSTOP)
    status, result, _ = vmctl("shutdown", "test", "--timeout", "1")
    assert status == 0
    assert result["used"] in ("SIGTERM", "SIGKILL")
    assert result["tried"][0].startswith("it is paused")
    assert vmctl("is-running", "test")[0] == 1


def test_the_order_of_the_four_ways() -> None:
    """With a domain that only the last way ends."""

    class Stubborn:
        def __init__(self) -> None:
            self.asked: list[Any] = []

        def state(self) -> list[int]:
            return [libvirt.VIR_DOMAIN_RUNNING]

        def XMLDesc(self, _flags: int) -> str:  # noqa: N802 - libvirt's name
            target = "<target name='org.qemu.guest_agent.0' state='connected'/>"
            return f"<domain><devices><channel>{target}</channel></devices></domain>"

        def isActive(self) -> bool:  # noqa: N802
            return self.asked[-1:] != ["destroy"]

        def shutdownFlags(self, flag: int) -> None:  # noqa: N802
            self.asked.append(flag)

        def destroyFlags(self, flag: int) -> None:  # noqa: N802
            self.asked.append(("destroy", flag))
            raise libvirt.libvirtError("it does not end")

        def destroy(self) -> None:
            self.asked.append("destroy")

    domain, tried = Stubborn(), []
    assert shutdown(domain, 0.1, tried.append) == "SIGKILL"
    assert domain.asked == [
        libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT,
        libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN,
        ("destroy", libvirt.VIR_DOMAIN_DESTROY_GRACEFUL),
        "destroy",
    ]
    assert [line.split(":")[0] for line in tried] == ["guest agent", "ACPI", "SIGTERM"]


def test_reshaping() -> None:
    assert vmctl("set-vcpus", "test", "2")[0] == 0
    assert virsh("vcpucount", "test", "--live", "--current") == "2"
    assert virsh("vcpucount", "test", "--config", "--current") == "2"
    assert vmctl("set-memory", "test", "48M")[0] == 0
    assert "49152 KiB" in virsh("dumpxml", "--inactive", "test").replace(
        "unit='KiB'>49152<", "49152 KiB"
    )
    assert tool("vmctl", "set-memory", "test", "much").returncode == 2


def test_devices(tmp_path: Path) -> None:
    disk = domains.image("extra")
    device = tmp_path / "disk.xml"
    device.write_text(
        f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{disk}'/>"
        "<target dev='vdb' bus='virtio'/></disk>"
    )
    assert vmctl("attach", "test", str(device))[0] == 0
    assert "extra" in virsh("domblklist", "test")
    # Nobody in this guest lets go of it.
    status, answer, _ = vmctl("detach", "test", "-", data=device.read_bytes())
    assert (status, answer["error"]["code"]) in ((0, None), (5, "timeout"))
    assert "extra" not in virsh("domblklist", "test", "--inactive")
    assert vmctl("attach", "test", str(tmp_path / "none"))[0] == 2
    assert vmctl("attach", "test", "-", data=b"<disk")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "instead"),
    [
        (("set-vcpus", "7", "2"), "-d '{\"cores\": 2}' https://corral.example.net/api/v1/vms/7"),
        (("set-memory", "7", "48M"), '{"ram": 50331648}'),
        (("attach", "7", "/dev/null"), "https://corral.example.net/api/v1/vms/7"),
        (("detach", "7", "/dev/null"), "https://corral.example.net/api/v1/vms/7"),
        (("autostart", "7", "on"), "another host"),
    ],
)
def test_what_corral_owns_is_refused(arguments: tuple[str, ...], instead: str) -> None:
    before = virsh("dumpxml", "vm-7")
    status, answer, _ = vmctl(*arguments)
    assert (status, answer["error"]["code"]) == (3, "owned")
    assert instead in answer["error"]["message"]
    assert virsh("dumpxml", "vm-7") == before


def test_autostart() -> None:
    assert vmctl("autostart", "test", "on")[1]["autostart"] is True
    assert vmctl("autostart", "test", "off")[1]["autostart"] is False
    status, answer, _ = vmctl("autostart", "7")
    assert (status, answer["autostart"]) == (0, False)
    assert "starting it twice" in answer["why"]


def test_stats_and_screenshot(tmp_path: Path) -> None:
    assert vmctl("stats", "7")[1]["vcpu.current"] == 1
    file = tmp_path / "shot"
    assert vmctl("screenshot", "7", "-o", str(file))[0] == 0
    assert file.read_bytes()[:2] in (b"P6", b"\x89P")
    assert vmctl("screenshot", "7", "-o", str(tmp_path / "no/shot"))[0] == 1


def test_usage_is_explained() -> None:
    done = tool("vmctl", "--help")
    assert b"vmctl shutdown vm-7 --timeout 30" in done.stdout
    assert b"exit status: 0 done" in done.stdout
    assert tool("vmctl").returncode == 2
    assert tool("vmctl", "destroy", "7").returncode == 2


def test_the_observation_of_them(tmp_path: Path) -> None:
    things = observe(Settings(state_dir=tmp_path))["things"]
    assert things["domain"]["vm-7"]["state"] == "running"
    assert things["domain"]["vm-7"]["managed"] is True
    assert things["domain"]["vm-7"]["pending"] == []
    assert things["domain"]["test"]["managed"] is False
