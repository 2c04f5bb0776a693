"""A guest that boots: Debian's cloud kernel, busybox and the QEMU guest agent, without KVM."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from pathlib import Path

from support.libvirt import virsh
from support.peer import until

SCRIPT = Path(__file__).parents[3] / "test/e2e/guest.sh"
PROGRAMS = ("busybox", "cpio", "mformat", "syslinux", "qemu-ga")


def missing() -> str | None:
    """Return why there can be no guest here, or nothing when there can."""
    if not any(Path("/boot").glob("vmlinuz-*-cloud-amd64")):
        return "linux-image-cloud-amd64 is not installed"
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    found = (one for one in PROGRAMS if shutil.which(one, path=path) is None)
    return next((f"{one} is not installed" for one in found), None)


def image(path: Path) -> Path:
    """Write the guest's disk."""
    subprocess.run(["sh", str(SCRIPT), str(path)], check=True, capture_output=True)
    path.chmod(0o666)
    return path


def define(name: str, disk: Path, *, number: int | None = None, agent: bool = True) -> str:
    """Define a domain of 192 MiB; with Corral's mark if it has a number. Returns its uuid."""
    one = str(uuid.uuid4())
    mark = f"<vm xmlns='urn:corral:vm:1' id='{number}'/>" if number is not None else ""
    channel = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
    text = f"""<domain type='qemu'>
      <name>{name}</name><uuid>{one}</uuid><metadata>{mark}</metadata>
      <memory unit='MiB'>256</memory><currentMemory unit='MiB'>192</currentMemory>
      <vcpu current='1'>2</vcpu>
      <os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
      <cpu mode='custom' match='exact'><model>qemu64</model></cpu>
      <devices>
        <disk type='file' device='disk'>
          <driver name='qemu' type='raw'/><source file='{disk}'/><target dev='vda' bus='virtio'/>
        </disk>
        <serial type='pty'><target port='0'/></serial><console type='pty'/>
        {channel if agent else ""}
        <video><model type='vga'/></video>
      </devices>
    </domain>"""
    path = disk.parent / f"{name}.xml"
    path.write_text(text)
    virsh("define", str(path))
    return one


def start(name: str) -> None:
    """Start a domain and wait until its agent answers."""
    virsh("start", name)
    until(
        f"the agent of {name}",
        lambda: (
            "return" in virsh("qemu-agent-command", name, '{"execute":"guest-ping"}', check=False)
        ),
        120,
    )
