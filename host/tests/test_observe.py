"""What corral-host observe prints, also for a user without rights and without libvirt."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.libvirt import virsh

from corral_host import facts, observe
from corral_host.files import read_json, write_json
from corral_host.kinds.document import STARTS, Document, boot_id
from corral_host.session import Session, Settings

if TYPE_CHECKING:
    from support.libvirt import Libvirtd

SOURCE = Path(__file__).parents[1] / "src"
XML = """<domain type='qemu'>
<name>vm-3</name><title>three</title><metadata><vm xmlns='urn:corral:vm:1' id='3'/></metadata>
<memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"""
WAITS = [{"property": "vcpus", "current": "1", "wanted": "2", "reason": "needs a restart"}]


def test_facts() -> None:
    found = facts.facts()
    assert found["cores"] == os.cpu_count()
    assert found["memory"] > 1 << 20
    assert found["kernel"] == os.uname().release
    assert found["corral_host"]
    for one in found["disks"]:
        assert one["size"] > 0
        assert one["rotational"] in (True, False, None)
    json.dumps(found)


@pytest.mark.parametrize(
    ("package", "version"),
    [
        ("1:7.2+dfsg-7+deb12u18+b3", "7.2"),
        ("16.2.15+ds-0+deb12u1", "16.2.15"),
        ("9.0.0-4", "9.0.0"),
        ("3007.1", "3007.1"),
        ("8.0.0~rc1-1", "8.0.0"),
    ],
)
def test_versions_of_packages(package: str, version: str) -> None:
    assert facts.upstream(package) == version


def test_versions_of_programs() -> None:
    assert facts.first_version("salt-call 3007.1 (Chlorine)") == "3007.1"
    assert facts.first_version("none") is None


def test_versions_are_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    facts.versions()

    def never(*_: object) -> str:
        raise AssertionError

    monkeypatch.setattr(facts, "_output", never)
    facts.versions()


def test_disks_of_the_kernel(tmp_path: Path) -> None:
    for name, sectors in (("sda", "2048"), ("loop0", "8"), ("sr0", "8"), ("nvme0n1", "0")):
        (tmp_path / name / "queue").mkdir(parents=True)
        (tmp_path / name / "size").write_text(sectors + "\n")
        (tmp_path / name / "queue/rotational").write_text("0\n")
    assert facts.disks(tmp_path) == [
        {"name": "sda", "size": 1 << 20, "rotational": False, "model": None}
    ]


def test_daemons_of_ceph(tmp_path: Path) -> None:
    uuid = "c0ffee00-0000-4000-8000-000000000009"
    (tmp_path / "osd/ceph-4").mkdir(parents=True)
    (tmp_path / "osd/ceph-4/fsid").write_text(uuid + "\n")
    (tmp_path / "osd/ceph-5").mkdir()
    (tmp_path / "mon/ceph-mon1").mkdir(parents=True)
    assert observe.daemons(tmp_path) == {"osd": {uuid: "4"}, "mon": ["mon1"]}
    assert observe.daemons(tmp_path / "none") == {"osd": {}, "mon": []}


def test_what_root_saw_of_ceph_is_used_by_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observe, "daemons", lambda: None)
    write_json(tmp_path / "ceph.json", {"osd": {"u-1": "90017"}, "mon": ["nobodys"]})
    found = observe.ceph(tmp_path)
    assert found == {
        "osd": {"u-1": {"state": "stopped", "detail": {"id": "90017"}}},
        "mon": {"nobodys": {"state": "stopped"}},
    }


def test_without_libvirt(tmp_path: Path) -> None:
    uri = "qemu+unix:///system?socket=/nowhere"
    found = observe.observe(Settings(libvirt_uri=uri, state_dir=tmp_path))
    assert "domain" not in found["things"]
    assert found["facts"]["cores"]


def test_as_a_user_without_rights(libvirtd: Libvirtd, tmp_path: Path) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is missing")
    (tmp_path / "vm.xml").write_text(XML)
    virsh("define", str(tmp_path / "vm.xml"))
    try:
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]  # noqa: RUF005
            + [sys.executable, "-m", "corral_host.cli", "observe"],
            env={**os.environ, "PYTHONPATH": str(SOURCE), "HOME": "/"},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        one = json.loads(done.stdout)["things"]["domain"]["vm-3"]
        assert (one["state"], one["managed"]) == ("stopped", True)
        assert (one["detail"]["id"], one["detail"]["title"]) == ("3", "three")
    finally:
        virsh("undefine", "vm-3")


def test_what_waits_ends_with_the_next_start(libvirtd: Libvirtd, tmp_path: Path) -> None:
    (tmp_path / "vm.xml").write_text(XML)
    virsh("define", str(tmp_path / "vm.xml"))
    virsh("start", "vm-3")
    session = Session(Settings(state_dir=tmp_path / "state"))
    try:
        session.pending["domain", "vm-3"] = WAITS
        document = Document(session)
        document.compare("1-a", {"ensure": "present", "node": "x"})
        document.finish()
        record = read_json(tmp_path / "state/pending.json")
        assert record["domain"] == {"vm-3": WAITS}
        assert record[STARTS]["boot_id"] == boot_id()

        def pending() -> list:
            things = observe.observe(session.settings)["things"]
            return things["domain"]["vm-3"]["pending"]

        assert pending() == WAITS
        virsh("reset", "vm-3")
        assert pending() == WAITS
        virsh("destroy", "vm-3")
        assert pending() == []
        virsh("start", "vm-3")
        assert pending() == []
    finally:
        session.close()
        virsh("destroy", "vm-3", check=False)
        virsh("undefine", "vm-3")
