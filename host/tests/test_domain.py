"""Domains on a real libvirt with real QEMU: made, stopped, damaged, removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.domains import clear, domain, kill_qemu, qemu_pid
from support.libvirt import virsh

from corral_host.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corral_host.engine import Engine


@pytest.fixture(autouse=True)
def _clean(engine: Engine) -> Iterator[None]:
    yield
    clear()


def compare(engine: Engine, spec: dict[str, Any], name: str = "vm-1") -> dict[str, Any]:
    """Compare as another run would: with a new listing."""
    engine.kind("domain").forget()
    return engine.compare("domain", {name: spec})[name]


def properties(result: dict[str, Any], which: str = "differences") -> list[str]:
    assert result["error"] is None, result
    return [one["property"] for one in result[which]]


def test_an_empty_host_gets_a_running_domain_and_the_second_run_changes_nothing(engine):
    spec = domain(1)
    assert engine.check({"domain": {"vm-1": spec}}) == []
    before = compare(engine, spec)
    assert (before["present"], before["wanted"], before["differences"]) == (False, True, [])
    engine.apply("domain", "vm-1", spec)
    assert virsh("domstate", "vm-1") == "running"
    after = compare(engine, spec)
    assert after == {
        "present": True,
        "wanted": True,
        "differences": [],
        "pending": [],
        "refused": [],
        "error": None,
    }
    assert "urn:corral:applied:1" in virsh("dumpxml", "vm-1")


def test_states(engine):
    engine.apply("domain", "vm-1", domain(1, state="paused"))
    pid = qemu_pid("vm-1")
    assert virsh("domstate", "vm-1") == "paused"
    assert properties(compare(engine, domain(1))) == ["state"]
    engine.apply("domain", "vm-1", domain(1))
    assert virsh("domstate", "vm-1") == "running"
    engine.apply("domain", "vm-1", domain(1, state="paused"))
    assert virsh("domstate", "vm-1") == "paused"
    assert qemu_pid("vm-1") == pid
    engine.apply("domain", "vm-1", domain(1, state="stopped"))
    assert virsh("domstate", "vm-1") == "shut off"
    assert properties(compare(engine, domain(1, state="stopped"))) == []


def test_a_killed_and_an_undefined_domain_come_back(engine):
    spec = domain(1)
    engine.apply("domain", "vm-1", spec)
    kill_qemu("vm-1")
    result = compare(engine, spec)
    assert result["differences"] == [
        {"property": "state", "current": "crashed", "wanted": "running", "reason": None}
    ]
    engine.apply("domain", "vm-1", spec)
    pid = qemu_pid("vm-1")
    # Undefined while it runs: it stays, without a persistent definition.
    virsh("undefine", "vm-1")
    assert compare(engine, spec)["present"] is False
    engine.apply("domain", "vm-1", spec)
    assert qemu_pid("vm-1") == pid
    virsh("destroy", "vm-1")
    virsh("undefine", "vm-1")
    assert compare(engine, spec)["present"] is False
    engine.apply("domain", "vm-1", spec)
    assert virsh("domstate", "vm-1") == "running"


def test_absent_removes_all_but_the_disk(engine):
    spec = domain(1, cloud_init={}, cloud_init_seed="/var/lib/corral/seed/vm-1.iso")
    engine.apply("domain", "vm-1", spec)
    assert Path(spec["cloud_init_seed"]).exists()
    gone = {"ensure": "absent", "uuid": spec["uuid"]}
    result = compare(engine, gone)
    assert (result["present"], result["wanted"], result["error"]) == (True, False, None)
    engine.apply("domain", "vm-1", gone)
    assert virsh("list", "--all", "--name") == ""
    assert not Path(spec["cloud_init_seed"]).exists()
    assert Path("/var/lib/corral/images/vol-1").exists()
    assert not list((engine.session.settings.state_dir / "domains").iterdir())
    result = compare(engine, gone)
    assert (result["present"], result["wanted"], result["error"]) == (False, False, None)


def test_domains_of_others_are_left_alone(engine, tmp_path):
    theirs = domain(1)["xml"].replace("urn:corral:vm:1", "urn:other:1")
    (tmp_path / "theirs.xml").write_text(theirs)
    virsh("define", str(tmp_path / "theirs.xml"))
    for spec in (domain(1), {"ensure": "absent", "uuid": domain(1)["uuid"]}):
        result = compare(engine, spec)
        assert result["error"]["code"] == "refused"
        with pytest.raises(HostError, match="not Corral's"):
            engine.apply("domain", "vm-1", spec)
    assert engine.list("domain")["vm-1"]["managed"] is False
    # Another name with the uuid of one that is there.
    moved = domain(2, uuid=domain(1)["uuid"])
    assert compare(engine, moved, "vm-2")["error"]["code"] == "refused"
    # Corral's, but another one.
    virsh("undefine", "vm-1")
    engine.kind("domain").forget()
    engine.apply("domain", "vm-1", domain(1, state="stopped"))
    other = "99999999-6f3a-4d51-9a3e-000000000001"
    assert compare(engine, domain(1, uuid=other))["error"]["code"] == "refused"
    absent = compare(engine, {"ensure": "absent", "uuid": other})
    assert absent["error"]["code"] == "refused"
    assert virsh("list", "--all", "--name") == "vm-1"


def test_what_cannot_be_built_is_nothing_to_do(engine):
    spec = domain(1)
    del spec["xml"]
    spec["unsupported"] = {"code": "method_without_libvirt", "reason": "Docker"}
    assert engine.check({"domain": {"vm-1": spec}}) == []
    result = compare(engine, spec)
    assert (result["present"], result["differences"], result["error"]) == (True, [], None)


def test_list(engine):
    engine.apply("domain", "vm-1", domain(1))
    found = json.loads(json.dumps(engine.list("domain")))["vm-1"]
    assert found["managed"]
    assert found["state"] == "running"
    assert found["properties"]["memory"] == "64 MiB"
    assert found["properties"]["vcpus"] == "1"


BAD = {
    "no XML": (lambda s: s.update(xml="<domain"), "not well-formed"),
    "another element": (lambda s: s.update(xml="<pool/>"), "not a <domain>"),
    "another name": (lambda s: s.update(xml=s["xml"].replace("vm-1<", "vm-9<")), "vm-9"),
    "another uuid": (lambda s: s.update(uuid="99999999-6f3a-4d51-9a3e-000000000001"), "uuid"),
    "no metadata": (lambda s: s.update(xml=s["xml"].replace("urn:corral", "urn:x")), "metadata"),
    "a type that is not run": (
        lambda s: s.update(xml=s["xml"].replace("type='qemu'", "type='xen'")),
        "xen",
    ),
    "no such machine": (lambda s: s.update(xml=s["xml"].replace("'q35'", "'q36'")), "libvirt"),
    "a wrong number": (lambda s: s.update(xml=s["xml"].replace(">65536<", ">much<")), "much"),
    "a wrong state": (lambda s: s.update(state="on"), "state"),
    "no uuid": (lambda s: s.update(uuid=None), "uuid"),
    "autostart": (lambda s: s.update(autostart=True), "autostart"),
    "cloud_init of another type": (lambda s: s.update(cloud_init=[1]), "cloud_init"),
    "a list": (lambda s: s.update(xml=[1]), "xml"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_specs_are_found_before_anything_is_touched(engine, fault):
    spec = domain(1)
    BAD[fault][0](spec)
    wrong = engine.check({"domain": {"vm-1": spec}})
    assert [one["code"] for one in wrong] == ["bad_spec"], wrong
    assert BAD[fault][1] in wrong[0]["message"]
    assert virsh("list", "--all", "--name") == ""
