"""Changes to a domain that runs: now and on the same QEMU process, or at its next start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.domains import bridge, clear, disk, nic, qemu_pid
from support.libvirt import virsh
from support.running import LIMITS, MORE, base, compare, names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corral_host.engine import Engine


@pytest.fixture(autouse=True)
def _clean(engine: Engine) -> Iterator[None]:
    yield
    clear()


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
    # Without an operating system nobody plugs memory, and that is said.
    waits = ["memory"] if change == "more memory" else []
    assert names(result, "pending") == waits
    after = compare(engine, spec)
    assert (names(after), names(after, "pending"), after["refused"]) == ([], waits, [])
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
