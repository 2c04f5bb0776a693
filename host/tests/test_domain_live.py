"""Changes to a domain that runs: now and on the same QEMU process, or at its next start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.domains import bridge, clear, disk, domain, nic, qemu_pid
from support.libvirt import virsh

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.fixture(autouse=True)
def _clean(engine: Engine) -> Iterator[None]:
    yield
    clear()


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


#: What changes in the spec, which properties that is, what virsh says afterwards of what runs.
LIVE = {
    "title": (lambda: {"title": "new name"}, ["title", "metadata"], "<title>new name</title>"),
    "metadata": (lambda: {"entry": "2 & <3>".replace("& <3>", "three")}, ["metadata"], ">2 three<"),
    "more vCPUs": (lambda: {"vcpus": 3}, ["vcpus"], "current='3'>4</vcpu>"),
    "more memory": (
        lambda: {"ram": 96},
        ["memory"],
        "<requested unit='KiB'>32768</requested>",
    ),
    "another quota": (lambda: {"quota": 80000}, ["cpu_limit"], "<quota>80000</quota>"),
    "no quota": (lambda: {"quota": None}, ["cpu_limit"], None),
    "other disk limits": (
        lambda: {"disks": [disk(0, "vol-1", limits=MORE)]},
        ["disk_limits"],
        "<write_bytes_sec>1048576</write_bytes_sec>",
    ),
    "no disk limits": (lambda: {"disks": [disk(0, "vol-1")]}, ["disk_limits"], None),
    "a second disk": (
        lambda: {"disks": [disk(0, "vol-1", limits=LIMITS), disk(1, "vol-2", limits=MORE)]},
        ["disks", "disk_limits"],
        "dev='vdb'",
    ),
    "a second interface": (lambda: {"nics": [nic(1, 0), nic(1, 1)]}, ["interfaces"], "dev='1-1'"),
    "another bridge": (
        lambda: {"nics": [nic(1, 0, on="br-other")]},
        ["interfaces"],
        "bridge='br-other'",
    ),
}


@pytest.mark.parametrize("change", LIVE)
def test_changed_while_it_runs(engine, change):
    fields, properties, seen = LIVE[change]
    engine.apply("domain", "vm-1", base())
    pid = qemu_pid("vm-1")
    spec = base(**fields())
    assert engine.check({"domain": {"vm-1": spec}}) == []
    before = compare(engine, spec)
    assert sorted(names(before)) == sorted(properties), before
    result = engine.apply("domain", "vm-1", spec)
    assert result["pending"] == []
    after = compare(engine, spec)
    assert (after["differences"], after["pending"], after["refused"]) == ([], [], [])
    assert qemu_pid("vm-1") == pid
    live = virsh("dumpxml", "vm-1")
    assert seen is None or seen in live
    if change == "no quota":
        assert virsh("schedinfo", "vm-1").split("vcpu_quota     : ")[1].split("\n")[0] in (
            "-1",
            "0",
        )
    if change == "no disk limits":
        assert "iops_sec>" not in live
    # And what is defined starts as it runs.
    engine.apply("domain", "vm-1", {**spec, "state": "stopped"})
    engine.apply("domain", "vm-1", spec)
    after = compare(engine, spec)
    assert (after["differences"], after["pending"]) == ([], [])


#: What changes in the spec, and which property waits for the next start.
PENDING = {
    "vcpus_max": lambda: {"vcpus_max": 6},
    "memory_max": lambda: {"ram_max": 192},
    "cpu": lambda: {"cpu": "Nehalem"},
    "clock": lambda: {"clock": "localtime"},
}


@pytest.mark.parametrize("name", PENDING)
def test_what_waits_for_the_next_start(engine, name):
    engine.apply("domain", "vm-1", base())
    pid = qemu_pid("vm-1")
    spec = base(**PENDING[name]())
    before = compare(engine, spec)
    assert names(before) == [name], before
    assert before["differences"][0]["reason"] == "takes effect at the next start"
    result = engine.apply("domain", "vm-1", spec)
    assert names(result, "pending") == [name]
    # No event again, and not forgotten by another process.
    engine.kind("domain")._records.forget()
    after = compare(engine, spec)
    assert (names(after), names(after, "pending")) == ([], [name]), after
    assert qemu_pid("vm-1") == pid
    virsh("destroy", "vm-1")
    engine.kind("domain").forget()
    engine.apply("domain", "vm-1", spec)
    after = compare(engine, spec)
    assert (names(after), names(after, "pending")) == ([], [])


def test_what_is_pending_goes_when_it_is_taken_back(engine):
    engine.apply("domain", "vm-1", base())
    engine.apply("domain", "vm-1", base(cpu="Nehalem"))
    assert names(compare(engine, base(cpu="Nehalem")), "pending") == ["cpu"]
    engine.apply("domain", "vm-1", base())
    assert names(compare(engine, base()), "pending") == []


def test_disks_and_interfaces_that_a_silent_guest_does_not_let_go(engine, monkeypatch):
    monkeypatch.setattr("corral_host.domain_live.GUEST_TIMEOUT", 0.5)
    two = base(
        disks=[disk(0, "vol-1", limits=LIMITS), disk(1, "vol-2")], nics=[nic(1, 0), nic(1, 1)]
    )
    engine.apply("domain", "vm-1", two)
    pid = qemu_pid("vm-1")
    before = compare(engine, base())
    assert names(before) == ["disks", "interfaces"]
    engine.apply("domain", "vm-1", base())
    after = compare(engine, base())
    assert names(after) == []
    # A BIOS may let go at once or never; what it holds waits for the next start.
    assert set(names(after, "pending")) <= {"disks", "interfaces"}
    for one in after["pending"]:
        assert "was asked to let go" in one["reason"]
    assert qemu_pid("vm-1") == pid
    engine.apply("domain", "vm-1", {**base(), "state": "stopped"})
    engine.apply("domain", "vm-1", base())
    after = compare(engine, base())
    assert (names(after), names(after, "pending")) == ([], [])


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


def test_metadata_of_others_stays_and_a_new_spec_keeps_the_machine(engine):
    engine.apply("domain", "vm-1", base())
    virsh("metadata", "vm-1", "urn:other", "--key", "o", "--set", "<mine/>", "--config", "--live")
    assert names(compare(engine, base())) == []
    engine.apply("domain", "vm-1", base(title="another"))
    xml = virsh("dumpxml", "vm-1", "--inactive")
    assert "urn:other" in xml
    assert "<title>another</title>" in xml


def test_a_domain_without_record_is_compared_with_its_spec(engine):
    engine.apply("domain", "vm-1", base())
    for one in (engine.session.settings.state_dir / "domains").iterdir():
        one.unlink()
    assert names(compare(engine, base())) == []
    assert names(compare(engine, base(quota=None))) == ["cpu_limit"]
    engine.apply("domain", "vm-1", base(quota=None))
    assert names(compare(engine, base(quota=None))) == []


def test_a_bridge_that_is_missing_is_a_clear_error(engine):
    engine.apply("domain", "vm-1", base())
    spec = base(nics=[nic(1, 0), nic(1, 3).replace("br-1-3", "br-none")])
    with pytest.raises(Exception, match="br-none"):
        engine.apply("domain", "vm-1", spec)
    # The next run finishes, once the bridge is there.
    assert names(compare(engine, spec)) == ["interfaces"]
    bridge("br-none")
    engine.apply("domain", "vm-1", spec)
    assert names(compare(engine, spec)) == []


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
