"""Small domains for tests: QEMU without an operating system, as the node document gives them."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

from support.libvirt import virsh

FOLDER = Path("/var/lib/corral/images")
MIB = 1024


def bridge(name: str) -> None:
    """Make a bridge, as the kind ``bridge`` would have before."""
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=False, capture_output=True)


def image(name: str) -> str:
    """Make an empty disk that QEMU may open, and return its path."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / name
    with path.open("wb") as file:
        file.truncate(1024 * 1024)
    path.chmod(0o666)
    return str(path)


def disk(number: int, target: str, *, limits: str = "", cache: str = "", path: str = "") -> str:
    place = path or image(target)
    return f"""
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' {cache} io='threads' discard='ignore'/>
      <source file='{place}'/>
      <target dev='vd{"abcdefgh"[number]}' bus='virtio'/>
      <serial>vol-{number}</serial>
      {limits}
      <boot order='{number + 1}'/>
      <address type='pci' domain='0x0000' bus='0x{9 + number:02x}' slot='0x00' function='0x0'/>
    </disk>"""


def nic(vm: int, number: int, *, on: str = "", mtu: int = 1500) -> str:
    bridge(on or f"br-{vm}-{number}")
    return f"""
    <interface type='bridge'>
      <mac address='52:54:00:00:{vm:02x}:{number:02x}'/>
      <source bridge='{on or f"br-{vm}-{number}"}'/>
      <target dev='{vm}-{number}'/>
      <model type='virtio'/>
      <mtu size='{mtu}'/>
      <address type='pci' domain='0x0000' bus='0x{1 + number:02x}' slot='0x00' function='0x0'/>
    </interface>"""


def domain(vm: int, **wanted: Any) -> dict[str, Any]:
    """Return the spec of vm-<n>: fields of the spec, and those of the XML below.

    title, entry, vcpus, vcpus_max, ram and ram_max (MiB), quota, cpu, clock, disks, nics, cdrom.
    """
    ram, most = wanted.get("ram", 64) * MIB, wanted.get("ram_max", wanted.get("ram", 64)) * MIB
    vcpus, vcpus_max = wanted.get("vcpus", 1), wanted.get("vcpus_max", 2)
    current = f"current='{vcpus}'" if vcpus < vcpus_max else ""
    head = most - ram
    numa = f"<numa><cell id='0' cpus='0-{vcpus_max - 1}' memory='{ram}' unit='KiB'/></numa>"
    quota = wanted.get("quota")
    tune = f"<cputune><period>100000</period><quota>{quota}</quota></cputune>" if quota else ""
    device = f"""
    <memory model='virtio-mem'>
      <target>
        <size unit='KiB'>{head}</size>
        <node>0</node>
        <block unit='KiB'>2048</block>
        <requested unit='KiB'>0</requested>
      </target>
      <address type='pci' domain='0x0000' bus='0x14' slot='0x00' function='0x0'/>
    </memory>"""
    uuid = wanted.get("uuid", f"0b0c7c4e-6f3a-4d51-9a3e-{vm:012d}")
    disks = wanted.get("disks")
    nics = wanted.get("nics")
    xml = f"""<domain type='qemu'>
  <name>vm-{vm}</name>
  <uuid>{uuid}</uuid>
  <title>{wanted.get("title", f"vm {vm}")}</title>
  <metadata>
    <corral:vm xmlns:corral='urn:corral:vm:1' id='{vm}'>
      <corral:name>{wanted.get("title", f"vm {vm}")}</corral:name>
      <corral:entry key='tier'>{wanted.get("entry", "1")}</corral:entry>
    </corral:vm>
  </metadata>
  {f"<maxMemory slots='1' unit='KiB'>{most}</maxMemory>" if head else ""}
  <memory unit='KiB'>{most}</memory>
  <currentMemory unit='KiB'>{ram}</currentMemory>
  <vcpu placement='static' {current}>{vcpus_max}</vcpu>
  {tune}
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
  </os>
  <features><acpi/><apic/><vmport state='off'/></features>
  <cpu mode='custom' match='exact' check='partial'>
    <model fallback='forbid'>{wanted.get("cpu", "qemu64")}</model>
    <topology sockets='1' dies='1' cores='{vcpus_max}' threads='1'/>
    {numa if head else ""}
  </cpu>
  <clock offset='{wanted.get("clock", "utc")}'>
    <timer name='rtc' tickpolicy='catchup'/>
    <timer name='pit' tickpolicy='delay'/>
    <timer name='hpet' present='no'/>
  </clock>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>restart</on_crash>
  <devices>
    <controller type='usb' model='none'/>
    <controller type='pci' index='24' model='pcie-root-port'/>
    {"".join([disk(0, f"vol-{vm}")] if disks is None else disks)}
    {wanted.get("cdrom", "")}
    {"".join([nic(vm, 0)] if nics is None else nics)}
    <controller type='virtio-serial' index='0'>
      <address type='pci' domain='0x0000' bus='0x11' slot='0x00' function='0x0'/>
    </controller>
    <serial type='pty'><target port='0'/></serial>
    <console type='pty'><target type='serial' port='0'/></console>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <rng model='virtio'>
      <backend model='random'>/dev/urandom</backend>
      <address type='pci' domain='0x0000' bus='0x13' slot='0x00' function='0x0'/>
    </rng>
    <memballoon model='virtio' freePageReporting='on'>
      <stats period='10'/>
      <address type='pci' domain='0x0000' bus='0x12' slot='0x00' function='0x0'/>
    </memballoon>
    <panic model='isa'/>
    {device if head else ""}
  </devices>
</domain>
"""
    spec = {
        "ensure": "present",
        "state": wanted.get("state", "running"),
        "uuid": uuid,
        "autostart": False,
        "xml": xml,
    }
    return {
        **spec,
        **{key: wanted[key] for key in ("cloud_init", "cloud_init_seed") if key in wanted},
    }


def qemu_pid(name: str) -> int:
    return int(Path(f"/run/libvirt/qemu/{name}.pid").read_text())


def kill_qemu(name: str) -> None:
    """End the process of one of our own domains, as a crash would."""
    os.kill(qemu_pid(name), 9)
    end = time.monotonic() + 10
    while virsh("domstate", name) == "running" and time.monotonic() < end:
        time.sleep(0.05)


def clear() -> None:
    """Remove all domains of the private libvirtd."""
    for name in virsh("list", "--name").split():
        virsh("destroy", name, check=False)
    for name in virsh("list", "--all", "--name").split():
        virsh("undefine", name, "--nvram", "--managed-save", "--snapshots-metadata", check=False)
