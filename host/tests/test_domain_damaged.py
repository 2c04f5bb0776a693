"""Domains damaged by hand: each property by itself comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.domains import clear, disk, nic, qemu_pid
from support.libvirt import virsh
from support.running import CDROM, base, compare, names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corral_host.engine import Engine


@pytest.fixture(autouse=True)
def _clean(engine: Engine) -> Iterator[None]:
    yield
    clear()


def edit(xml: str, flags: str, folder: Path) -> None:
    (folder / "edited.xml").write_text(xml)
    virsh("define", str(folder / "edited.xml"), *flags.split())


#: By hand in the persistent definition: a text of libvirt's XML and what it becomes.
DAMAGED = {
    "title": ("<title>vm 1</title>", "<title>broken</title>"),
    "metadata": (">1</corral:entry>", ">9</corral:entry>"),
    "vcpus": ("current='1'", "current='2'"),
    "cpu_limit": ("<quota>50000</quota>", "<quota>60000</quota>"),
    "cpu": (">qemu64<", ">qemu32<"),
    "boot": ("<on_crash>restart<", "<on_crash>destroy<"),
    "clock": ("offset='utc'", "offset='localtime'"),
    "disks": ("discard='ignore'", "discard='unmap'"),
    "disk_limits": (">500</read_iops_sec>", ">600</read_iops_sec>"),
    "interfaces": ("<mtu size='1500'/>", "<mtu size='1400'/>"),
    "devices": ("<devices>", "<devices><watchdog model='i6300esb' action='reset'/>"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_the_definition_damaged_by_hand(engine, name, tmp_path):
    engine.apply("domain", "vm-1", base())
    pid = qemu_pid("vm-1")
    xml = virsh("dumpxml", "vm-1", "--inactive")
    old, new = DAMAGED[name]
    assert old in xml
    edit(xml.replace(old, new), "", tmp_path)
    result = compare(engine, base())
    assert names(result) == [name], result
    engine.apply("domain", "vm-1", base())
    after = compare(engine, base())
    assert (names(after), names(after, "pending")) == ([], []), after
    assert qemu_pid("vm-1") == pid


#: By hand in what runs.
LIVE_DAMAGED = {
    "title": ["desc", "vm-1", "--live", "--title", "broken"],
    "vcpus": ["setvcpus", "vm-1", "2", "--live"],
    "memory": ["update-memory-device", "vm-1", "--live", "--requested-size", "16MiB"],
    "cpu_limit": ["schedinfo", "vm-1", "--live", "--set", "vcpu_quota=70000"],
    "disk_limits": ["blkdeviotune", "vm-1", "vda", "--live", "--total-bytes-sec", "1000000"],
    "interfaces": ["domif-setlink", "vm-1", "1-0", "down"],
    "autostart": ["autostart", "vm-1"],
    "state": ["suspend", "vm-1"],
}


@pytest.mark.parametrize("name", LIVE_DAMAGED)
def test_what_runs_damaged_by_hand(engine, name, monkeypatch):
    monkeypatch.setattr("corral_host.domain_live.GUEST_TIMEOUT", 0.5)
    engine.apply("domain", "vm-1", base())
    pid = qemu_pid("vm-1")
    virsh(*LIVE_DAMAGED[name])
    assert names(compare(engine, base())) == [name]
    engine.apply("domain", "vm-1", base())
    after = compare(engine, base())
    assert names(after) == []
    # Without an operating system nobody gives a vCPU back.
    assert names(after, "pending") == (["vcpus"] if name == "vcpus" else [])
    assert qemu_pid("vm-1") == pid


def test_plugged_by_hand(engine, tmp_path):
    engine.apply("domain", "vm-1", base())
    for text, name in ((disk(2, "vol-3"), "disks"), (nic(1, 2), "interfaces")):
        (tmp_path / "device.xml").write_text(text)
        virsh("attach-device", "vm-1", str(tmp_path / "device.xml"), "--config")
        assert names(compare(engine, base())) == [name]
        engine.apply("domain", "vm-1", base())
        assert names(compare(engine, base())) == []


def test_the_seed(engine):
    path = "/var/lib/corral/seed/vm-1.iso"
    data = {"user_data": {"hostname": "secret-word"}, "network_config": "version: 2\n"}
    cdrom = CDROM.replace("<target", f"<source file='{path}' startupPolicy='optional'/><target")
    spec = base(cdrom=cdrom, cloud_init=data, cloud_init_seed=path)
    engine.apply("domain", "vm-1", spec)
    assert Path(path).stat().st_mode & 0o777 == 0o600
    after = compare(engine, spec)
    assert (names(after), names(after, "pending")) == ([], [])
    other = {**spec, "cloud_init": {"user_data": "#cloud-config\n{}\n"}}
    before = compare(engine, other)
    assert names(before) == ["cloud_init"]
    assert "secret-word" not in json.dumps(before)
    engine.apply("domain", "vm-1", other)
    assert names(compare(engine, other)) == []
    Path(path).unlink()
    assert names(compare(engine, other)) == ["cloud_init"]
    engine.apply("domain", "vm-1", other)
    none = base(cdrom=CDROM)
    engine.apply("domain", "vm-1", none)
    assert not Path(path).exists()
