"""Pools in a real libvirt."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from support.libvirt import virsh

from corral_host.errors import HostError
from corral_host.kinds.pool import pool_uuid

FIXTURES = Path(__file__).parents[2] / "fixtures/documents"


def dir_pool(name, path):
    xml = (
        f"<pool type='dir'><name>{name}</name><uuid>{pool_uuid(name)}</uuid>"
        f"<target><path>{path}</path></target></pool>"
    )
    return {"ensure": "present", "kind": "dir", "target": str(path), "xml": xml}


def compare(engine, name, spec):
    engine.kind("pool").forget()
    one = engine.compare("pool", {name: spec})[name]
    assert one["error"] is None, one
    return one


def differing(engine, name, spec):
    return [one["property"] for one in compare(engine, name, spec)["differences"]]


@pytest.fixture
def local(engine, tmp_path):
    spec = dir_pool("local", tmp_path / "deep/images")
    yield spec
    virsh("pool-destroy", "local", check=False)
    virsh("pool-undefine", "local", check=False)


def test_the_mark_is_the_documents_uuid():
    for path in FIXTURES.glob("*/document.json"):
        pools = json.loads(path.read_text())["body"].get("hypervisor", {}).get("pools", {})
        for name, spec in pools.items():
            if spec["ensure"] == "present":
                assert spec["uuid"] == pool_uuid(name)


def test_every_fixture_passes_the_check(engine):
    for path in FIXTURES.glob("*/document.json"):
        section = json.loads(path.read_text())["body"].get("hypervisor", {})
        assert engine.check({"pool": section.get("pools", {})}) == []


def test_every_fixture_is_what_libvirt_makes_of_it(engine):
    for path in FIXTURES.glob("*/document.json"):
        pools = json.loads(path.read_text())["body"].get("hypervisor", {}).get("pools", {})
        for name, spec in pools.items():
            if spec["ensure"] != "present":
                continue
            engine.session.libvirt().storagePoolDefineXML(spec["xml"], 0)
            try:
                # Nothing but that it is not started.
                assert differing(engine, name, spec) == ["state", "autostart"]
            finally:
                virsh("pool-undefine", name)


def test_dir_pool_is_made_and_removed_without_its_data(engine, local):
    before = engine.apply("pool", "local", local)
    assert (before["present"], before["wanted"]) == (False, True)
    assert "running" in virsh("pool-info", "local")
    assert differing(engine, "local", local) == []
    found = engine.kind("pool").found()["local"]
    assert (found.managed, found.state) == (True, "active")
    file = Path(local["target"]) / "precious"
    file.write_text("data")
    engine.apply("pool", "local", {"ensure": "absent", "kind": "dir"})
    assert virsh("pool-list", "--all", "--name") == ""
    assert file.read_text() == "data"
    assert compare(engine, "local", {"ensure": "absent"})["present"] is False


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (["pool-destroy", "local"], "state"),
        (["pool-autostart", "local", "--disable"], "autostart"),
    ],
)
def test_each_damage_is_named_and_mended(engine, local, damage, named):
    engine.apply("pool", "local", local)
    virsh(*damage)
    assert differing(engine, "local", local) == [named]
    engine.apply("pool", "local", local)
    assert differing(engine, "local", local) == []


def test_changed_definition_is_in_force_at_once(engine, local, tmp_path):
    engine.apply("pool", "local", local)
    other = dir_pool("local", tmp_path / "other")
    assert differing(engine, "local", other) == ["definition"]
    engine.apply("pool", "local", other)
    assert differing(engine, "local", other) == []
    assert str(tmp_path / "other") in virsh("pool-dumpxml", "local")
    # Changed by hand, in what is kept only.
    engine.session.libvirt().storagePoolDefineXML(local["xml"], 0)
    assert differing(engine, "local", other) == ["definition"]
    engine.apply("pool", "local", other)
    assert differing(engine, "local", other) == []


def test_directory_removed_by_hand_comes_back(engine, local):
    engine.apply("pool", "local", local)
    Path(local["target"]).rmdir()
    engine.kind("pool")._fresh.clear()
    assert differing(engine, "local", local) == ["state"]
    engine.apply("pool", "local", local)
    assert Path(local["target"]).is_dir()


def test_unreachable_pool_says_so(engine, tmp_path):
    xml = (
        f"<pool type='logical'><name>vg9</name><uuid>{pool_uuid('vg9')}</uuid><source><name>vg9"
        "</name><format type='lvm2'/></source><target><path>/dev/vg9</path></target></pool>"
    )
    with pytest.raises(HostError, match=r"vg9 cannot be started: .* Is vg9 there"):
        engine.apply("pool", "vg9", {"ensure": "present", "xml": xml})
    # Defined, and started when it can be.
    assert differing(engine, "vg9", {"ensure": "present", "xml": xml}) == ["state"]
    engine.apply("pool", "vg9", {"ensure": "absent"})


def test_others_are_left_alone(engine, local, tmp_path):
    foreign = local["xml"].replace(pool_uuid("local"), str(uuid.uuid4()))
    engine.session.libvirt().storagePoolDefineXML(foreign, 0)
    for spec in (local, {"ensure": "absent"}):
        with pytest.raises(HostError, match="did not make"):
            engine.apply("pool", "local", spec)
    assert engine.kind("pool").found()["local"].managed is False
    assert "inactive" in virsh("pool-list", "--all")


@pytest.mark.parametrize(
    "spoiled",
    [
        {"xml": None},
        {"xml": "<pool"},
        {"xml": "<domain/>"},
        {"xml": "<pool type='dir'><name>other</name></pool>"},
        {"xml": "<pool type='dir'><name>local</name></pool>"},
    ],
)
def test_bad_specs(engine, local, spoiled):
    [wrong] = engine.check({"pool": {"local": {**local, **spoiled}}})
    assert wrong["code"] == "bad_spec"
