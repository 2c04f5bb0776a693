"""Volumes in a directory, in a real libvirt with real QEMU."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from support.libvirt import virsh
from support.volumes import MIB, compare, differing, info, qemu_img, running, volume
from test_pool import dir_pool

from corral_host.errors import HostError

FIXTURES = Path(__file__).parents[2] / "fixtures/documents"


@pytest.fixture
def folder(engine, tmp_path):
    # Where QEMU, which is not root, gets at it.
    path = Path("/var/lib/corral") / tmp_path.name / "images"
    engine.apply("pool", "local", dir_pool("local", path))
    yield path
    for name in virsh("list", "--name").split():
        virsh("destroy", name)
    virsh("pool-destroy", "local", check=False)
    virsh("pool-undefine", "local")


def test_every_fixture_passes_the_check(engine):
    for path in FIXTURES.glob("*/document.json"):
        section = json.loads(path.read_text())["body"].get("hypervisor", {})
        assert engine.check({"volume": section.get("volumes", {})}) == []


@pytest.mark.parametrize("kind", ["qcow2", "raw"])
def test_made_enlarged_and_removed(engine, folder, kind):
    spec = volume("vol-1", "local", kind=kind)
    before = engine.apply("volume", "vol-1", spec)
    assert (before["present"], before["wanted"]) == (False, True)
    assert differing(engine, "vol-1", spec) == []
    assert info(folder / "vol-1") == (kind, 64 * MIB)
    found = engine.kind("volume").found()["vol-1"]
    assert (found.managed, found.detail["pool"]) == (True, "local")
    larger = volume("vol-1", "local", 96 * MIB, kind)
    assert differing(engine, "vol-1", larger) == ["capacity"]
    engine.apply("volume", "vol-1", larger)
    assert differing(engine, "vol-1", larger) == []
    assert info(folder / "vol-1") == (kind, 96 * MIB)
    with pytest.raises(HostError, match="making a volume smaller loses data"):
        engine.apply("volume", "vol-1", spec)
    assert info(folder / "vol-1") == (kind, 96 * MIB)
    engine.apply("volume", "vol-1", {"ensure": "absent", "pool": "local"})
    assert list(folder.iterdir()) == []
    gone = {"ensure": "absent", "pool": "local"}
    assert compare(engine, "vol-1", gone)["present"] is False
    assert not list(engine.session.settings.state_dir.glob("volumes/*/*"))


def test_format_stays(engine, folder):
    engine.apply("volume", "vol-1", volume("vol-1", "local"))
    with pytest.raises(HostError, match="keeps its format"):
        engine.apply("volume", "vol-1", volume("vol-1", "local", kind="raw"))


def test_guest_cannot_make_a_raw_volume_look_like_another(engine, folder):
    spec = volume("vol-1", "local", kind="raw")
    engine.apply("volume", "vol-1", spec)
    other = folder.parent / "other.qcow2"
    qemu_img("create", "-f", "qcow2", other, "1M")
    with (folder / "vol-1").open("r+b") as file:
        file.write(other.read_bytes())
    virsh("pool-refresh", "local")
    assert differing(engine, "vol-1", spec) == []
    larger = volume("vol-1", "local", 96 * MIB, "raw")
    engine.apply("volume", "vol-1", larger)
    assert (folder / "vol-1").stat().st_size == 96 * MIB


@pytest.mark.parametrize("kind", ["qcow2", "raw"])
def test_enlarged_in_a_running_domain(engine, folder, kind):
    engine.apply("volume", "vol-1", volume("vol-1", "local", kind=kind))
    xml = folder.parent / "domain.xml"
    xml.write_text(running("vm-1", (f"file file='{folder}/vol-1'", kind)))
    virsh("create", str(xml))
    larger = volume("vol-1", "local", 128 * MIB, kind)
    assert differing(engine, "vol-1", larger) == ["capacity"]
    engine.apply("volume", "vol-1", larger)
    assert f"{128 * MIB}" in virsh("domblkinfo", "vm-1", "vda")
    assert differing(engine, "vol-1", larger) == []
    gone = {"ensure": "absent", "pool": "local"}
    with pytest.raises(HostError, match="the running domain vm-1 has it open"):
        engine.apply("volume", "vol-1", gone)
    assert (folder / "vol-1").exists()
    virsh("destroy", "vm-1")
    engine.kind("volume").forget()
    engine.apply("volume", "vol-1", gone)
    assert not (folder / "vol-1").exists()


def test_what_fits_is_adopted(engine, folder):
    qemu_img("create", "-f", "qcow2", folder / "vol-1", 64 * MIB)
    before = (folder / "vol-1").read_bytes()
    spec = volume("vol-1", "local")
    assert engine.kind("volume").found()["vol-1"].managed is False
    assert differing(engine, "vol-1", spec) == ["content"]
    engine.apply("volume", "vol-1", spec)
    assert differing(engine, "vol-1", spec) == []
    assert (folder / "vol-1").read_bytes() == before


@pytest.mark.parametrize(("kind", "size"), [("raw", 64), ("qcow2", 32), ("qcow2", 128)])
def test_what_does_not_fit_is_left_alone(engine, folder, kind, size):
    qemu_img("create", "-f", kind, folder / "vol-1", size * MIB)
    before = (folder / "vol-1").read_bytes()
    for spec in (volume("vol-1", "local"), {"ensure": "absent", "pool": "local"}):
        with pytest.raises(HostError, match="was not made by Corral"):
            engine.apply("volume", "vol-1", spec)
    assert (folder / "vol-1").read_bytes() == before


def test_file_that_libvirt_has_not_seen_is_not_written_over(engine, folder):
    spec = volume("vol-1", "local")
    assert compare(engine, "vol-1", spec)["present"] is False
    (folder / "vol-1").write_text("precious")
    with pytest.raises(HostError, match="appeared since the pool was read"):
        engine.apply("volume", "vol-1", spec)
    assert (folder / "vol-1").read_text() == "precious"


def test_others_are_listed_and_stay(engine, folder):
    (folder / "notes.txt").write_text("precious")
    for number in range(3):
        engine.apply("volume", f"vol-{number}", volume(f"vol-{number}", "local"))
    engine.apply("volume", "vol-0", {"ensure": "absent", "pool": "local"})
    found = engine.kind("volume").found()
    engine.kind("volume")._stores.clear()
    found = engine.kind("volume").found()
    assert {name: one.managed for name, one in found.items()} == {
        "notes.txt": False,
        "vol-1": True,
        "vol-2": True,
    }
    assert (folder / "notes.txt").read_text() == "precious"


def test_pool_that_is_not_there(engine, folder):
    spec = volume("vol-1", "other")
    # What a first run without effect shows: it would be made.
    assert compare(engine, "vol-1", spec)["present"] is False
    with pytest.raises(HostError, match="pool other of vol-1 is not on this host"):
        engine.apply("volume", "vol-1", spec)
    virsh("pool-destroy", "local")
    error = engine.compare("volume", {"vol-1": volume("vol-1", "local")})["vol-1"]["error"]
    assert error["code"] == "pool_inactive"


def test_nothing_is_said_gone_without_looking(engine, folder):
    engine.apply("volume", "vol-1", volume("vol-1", "local"))
    engine.apply("pool", "local", {"ensure": "absent"})
    gone = {"ensure": "absent", "pool": "local"}
    assert engine.compare("volume", {"vol-1": gone})["vol-1"]["error"]["code"] == "no_pool"
    assert (folder / "vol-1").exists()
    engine.apply("pool", "local", dir_pool("local", folder))
    assert differing(engine, "vol-1", volume("vol-1", "local")) == []


def test_unsupported_says_why(engine):
    spec = {"ensure": "present", "pool": "p", "size": 1, "type": "raw"}
    spec["unsupported"] = {"code": "pool_missing", "reason": "this host does not have the pool p"}
    assert engine.check({"volume": {"v": spec}}) == []
    assert engine.compare("volume", {"v": spec})["v"]["error"]["code"] == "pool_missing"


@pytest.mark.parametrize(
    "spoiled",
    [
        {"pool": None},
        {"pool": "../etc"},
        {"size": "10"},
        {"size": 0},
        {"type": "vmdk"},
        {"xml": "<volume"},
        {"xml": None},
        {"size": 1024},
        {"filled_from": {"url": "ftp://x/y", "type": "raw"}},
        {"filled_from": {"url": "http://x/y", "type": "vmdk"}},
        {"filled_from": {"url": "http://x/y", "type": "raw", "checksum": "md5:00"}},
    ],
)
def test_bad_specs(engine, spoiled):
    [wrong] = engine.check({"volume": {"vol-1": {**volume("vol-1", "local"), **spoiled}}})
    assert wrong["code"] == "bad_spec"


def test_hundred_volumes_are_compared_at_once(engine, folder):
    specs = {f"vol-{n}": volume(f"vol-{n}", "local", kind="raw") for n in range(100)}
    start = time.monotonic()
    for name, spec in specs.items():
        engine.apply("volume", name, spec)
    made = time.monotonic() - start
    engine.kind("volume")._stores.clear()
    start = time.monotonic()
    result = engine.compare("volume", specs)
    compared = time.monotonic() - start
    assert all(one["error"] is None and not one["differences"] for one in result.values())
    print(f"100 volumes made in {made:.1f} s, compared in {compared:.2f} s")  # noqa: T201
    assert compared < 1
