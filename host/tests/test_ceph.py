"""A real cluster: built from nothing, damaged by hand, grown, and taken apart again."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from support import ceph as lab
from support.ceph import run, sh

from corral_host.ceph import osd_leaving
from corral_host.engine import Engine
from corral_host.errors import HostError
from corral_host.session import Session

MON = "/var/lib/ceph/mon/ceph-mon"


@pytest.fixture
def engine(ceph_engine: Engine) -> Engine:
    return ceph_engine


def record(text: str) -> None:
    """Show a measurement; pytest shows it with -s."""
    sys.stdout.write(text + "\n")


def test_builds_a_cluster_from_nothing(engine: Engine) -> None:
    begun = time.monotonic()
    # Without anything there, nothing fails: this is what a dry run sees.
    things = lab.whole("mon1", osds=2)
    for kind, specs in things.items():
        for name, one in engine.compare(kind, specs).items():
            assert one["error"] is None
            assert one["present"] is (name == "ceph/mon.")
    run(engine, things)
    seconds = time.monotonic() - begun
    record(f"a cluster from nothing in {seconds:.1f} s")
    assert lab.ceph("quorum_status")["quorum_names"] == ["mon1"]
    assert lab.ceph("osd", "stat")["num_up_osds"] == 2
    tree = {one["name"]: one for one in lab.ceph("osd", "tree")["nodes"]}
    assert [tree[f"osd.{n}"]["crush_weight"] for n in (0, 1)] == [0.5, 1]
    assert [tree[f"osd.{n}"]["device_class"] for n in (0, 1)] == ["ssd", "ssd"]
    pool = lab.ceph("osd", "pool", "get", "vms", "all")
    assert (pool["size"], pool["min_size"], pool["pg_num"]) == (2, 1, 16)
    assert pool["pg_autoscale_mode"] == "off"
    assert list(lab.ceph("osd", "pool", "application", "get", "vms")) == ["rbd"]
    assert lab.ceph("auth", "get", "client.libvirt")[0]["key"] == lab.SECRETS["client.libvirt"]


def test_an_image_is_written_and_read_by_the_client(engine: Engine) -> None:
    sh("""
      head -c 8M /dev/urandom >/run/ceph/in
      rbd --id libvirt import /run/ceph/in vms/disk
      rbd --id libvirt export vms/disk /run/ceph/out
      cmp /run/ceph/in /run/ceph/out
    """)


def test_the_second_run_changes_nothing_and_is_quick(engine: Engine) -> None:
    begun = time.monotonic()
    assert run(engine, lab.whole("mon1", osds=2)) == []
    seconds = time.monotonic() - begun
    record(f"nothing to do in {seconds:.2f} s")


CHANGE_KEY = f"""
ceph auth get client.libvirt | sed 's|key = .*|key = {lab.OTHER_SECRET}|' >/run/ceph/key
ceph auth import -i /run/ceph/key
"""
DAMAGES = {
    "an option": ("sed -i /fsid/d /etc/ceph/ceph.conf", ["ceph_config ceph content"]),
    "the configuration": ("rm /etc/ceph/ceph.conf", ["ceph_config ceph ensure"]),
    "a file's mode": (
        "chmod 644 /etc/ceph/ceph.client.libvirt.keyring",
        ["ceph_keyring ceph/client.libvirt mode"],
    ),
    "a file's key": (
        f"sed -i 's|key = .*|key = {lab.OTHER_SECRET}|' /etc/ceph/ceph.client.libvirt.keyring",
        ["ceph_keyring ceph/client.libvirt secret"],
    ),
    "capabilities": (
        "ceph auth caps client.libvirt mon 'allow r'",
        ["ceph_key ceph/client.libvirt caps"],
    ),
    "a key": (CHANGE_KEY, ["ceph_key ceph/client.libvirt secret"]),
    "a deleted key": ("ceph auth del client.libvirt", ["ceph_key ceph/client.libvirt ensure"]),
    "the administrator's key": (
        "ceph auth del client.admin",
        ["ceph_key ceph/client.admin ensure"],
    ),
    "copies": (
        "ceph osd pool set vms size 3",
        # Ceph changes both.
        ["ceph_pool ceph/vms size", "ceph_pool ceph/vms min_size"],
    ),
    "needed copies": ("ceph osd pool set vms min_size 2", ["ceph_pool ceph/vms min_size"]),
    "the autoscaler": (
        "ceph osd pool set vms pg_autoscale_mode on",
        ["ceph_pool ceph/vms pg_num"],
    ),
    "the application": (
        "ceph osd pool application disable vms rbd --yes-i-really-mean-it",
        ["ceph_pool ceph/vms application"],
    ),
    "the device class": (
        "ceph osd crush rm-device-class 0; ceph osd crush set-device-class hdd 0",
        [f"ceph_osd {lab.osd_uuid(1)} device_class"],
    ),
    "the weight": (
        "ceph osd crush reweight osd.1 0.25",
        [f"ceph_osd {lab.osd_uuid(2)} weight"],
    ),
    "a killed OSD": (
        "kill -9 $(daemons 'osd .*--id 0')",
        [f"ceph_osd {lab.osd_uuid(1)} state"],
    ),
    "a killed monitor": ("kill -9 $(daemons 'mon ')", ["ceph_mon mon1 state"]),
    "a killed manager": ("kill -9 $(daemons 'mgr ')", ["ceph_mon mon1 mgr"]),
}


@pytest.mark.parametrize("what", list(DAMAGES))
def test_mends(engine: Engine, what: str) -> None:
    damage, expected = DAMAGES[what]
    things = lab.whole("mon1", osds=2)
    sh(damage)
    if "killed" in what:
        time.sleep(0.3)
    assert run(engine, things) == expected
    fresh = Session()
    assert run(Engine(fresh), things) == []
    fresh.close()


def test_makes_a_pool_without_copies_and_grows_it(engine: Engine) -> None:
    pool = lab.whole("mon1", osds=0)["ceph_pool"]["ceph/vms"]
    one = {**pool, "size": 1, "min_size": 1, "pg_num": 1}
    assert run(engine, {"ceph_pool": {"ceph/one": one}}) == ["ceph_pool ceph/one ensure"]
    assert lab.ceph("osd", "pool", "get", "one", "size")["size"] == 1
    two = {**one, "pg_num": 2}
    assert run(engine, {"ceph_pool": {"ceph/one": two}}) == ["ceph_pool ceph/one pg_num"]
    assert run(engine, {"ceph_pool": {"ceph/vms": pool, "ceph/one": two}}) == []


def test_never_deletes_a_pool_or_what_the_cluster_stands_on(engine: Engine) -> None:
    for kind, name in (
        ("ceph_pool", "ceph/vms"),
        ("ceph_key", "ceph/mon."),
        ("ceph_key", "ceph/client.admin"),
        ("ceph_mon", "mon1"),
    ):
        with pytest.raises(HostError, match=r"never deletes|never deleted|last monitor") as error:
            engine.apply(kind, name, {"ensure": "absent"})
        assert error.value.code == "refused"
    assert lab.ceph("quorum_status")["quorum_names"] == ["mon1"]
    assert "vms" in lab.ceph("osd", "pool", "ls")
    engine.apply("ceph_key", "ceph/client.bootstrap-mds", {"ensure": "absent"})
    assert "ceph/client.bootstrap-mds" not in engine.list("ceph_key")


def test_lists_what_is_there_without_secrets(engine: Engine) -> None:
    listed = {kind: engine.list(kind) for kind in lab.whole("mon1", osds=2)}
    assert listed["ceph_mon"]["mon1"]["state"] == "leader"
    assert listed["ceph_mon"]["mon1"]["managed"]
    assert listed["ceph_osd"][lab.osd_uuid(1)]["properties"]["state"] == "up"
    assert listed["ceph_pool"]["ceph/vms"]["properties"]["pg_num"] == "16"
    assert "ceph/client.libvirt" in listed["ceph_key"]
    assert "ceph/client.bootstrap-osd" in listed["ceph_keyring"]
    for secret in lab.SECRETS.values():
        assert secret not in repr(listed)


def test_refuses_devices_that_hold_something(engine: Engine) -> None:
    uuid, spec = lab.osd_spec(7, 64 << 20)
    sh(f"mkfs.ext4 -q {spec['data_device']}")
    before = sh(f"sha256sum {spec['data_device']}")
    taken = {**spec, "data_device": lab.osd_spec(1)[1]["data_device"]}
    for one, words in (
        (spec, "holds ext4"),
        (taken, f"osd.0 .{lab.osd_uuid(1)}."),
        ({**spec, "data_device": "/var/lib/corral"}, "no device or file"),
        ({**spec, "data_device": "/dev/none"}, "no device or file"),
        ({**lab.osd_spec(8)[1], "db_device": spec["data_device"]}, "holds ext4"),
    ):
        with pytest.raises(HostError, match=words):
            engine.apply("ceph_osd", uuid, one)
    assert sh(f"sha256sum {spec['data_device']}") == before
    assert lab.ceph("osd", "stat")["num_osds"] == 2


def test_finishes_an_osd_after_kills_at_any_moment(engine: Engine) -> None:
    uuid, spec = lab.osd_spec(3)
    folders = Path("/var/lib/ceph/osd")
    moments = (
        (folders / f".{uuid}" / "secret").exists,
        (folders / "ceph-2").exists,
        (folders / "ceph-2" / "type").exists,
        (folders / "ceph-2" / "ready").exists,
    )
    for moment in moments:
        begun = lab.apply_elsewhere("ceph_osd", {uuid: spec})
        while not moment():
            assert begun.poll() is None, begun.communicate()
            time.sleep(0.002)
        os.killpg(begun.pid, signal.SIGKILL)
        begun.communicate()
    assert run(engine, {"ceph_osd": {uuid: spec}}) != []
    assert run(engine, {"ceph_osd": {uuid: spec}}) == []
    assert lab.ceph("osd", "stat")["num_up_osds"] == 3
    assert not (folders / f".{uuid}").exists()


def test_an_osd_comes_back_when_its_folder_is_lost(engine: Engine) -> None:
    uuid, spec = lab.osd_spec(3)
    sh("kill $(daemons 'osd .*--id 2'); sleep 3; rm -r /var/lib/ceph/osd/ceph-2")
    assert run(engine, {"ceph_osd": {uuid: spec}}) == [f"ceph_osd {uuid} ensure"]
    assert lab.ceph("osd", "stat")["num_up_osds"] == 3
    assert lab.ceph("osd", "stat")["num_osds"] == 3


def refusal(engine: Engine, uuid: str) -> str | None:
    try:
        engine.apply("ceph_osd", uuid, {"ensure": "absent"})
    except HostError as error:
        return error.message
    return None


def test_an_osd_goes_when_nothing_is_on_it(engine: Engine) -> None:
    uuid, _ = lab.osd_spec(1)
    refusals = 0
    for _ in range(60):
        said = refusal(engine, uuid)
        if said is None:
            break
        assert "still holds" in said
        refusals += 1
        assert lab.ceph("osd", "stat")["num_in_osds"] == 2
        time.sleep(1)
    assert refusals > 0
    assert lab.ceph("osd", "stat")["num_osds"] == 2
    assert "osd.0" not in [one["entity"] for one in lab.ceph("auth", "ls")["auth_dump"]]
    assert list(Path("/var/lib/ceph/osd").glob("ceph-0.removed-*"))
    assert run(engine, {"ceph_osd": {uuid: {"ensure": "absent"}}}) == []
    # No data were lost.
    sh("rbd --id libvirt export vms/disk - | cmp - /run/ceph/in")


@pytest.mark.parametrize("lost", ["", "rm -r /var/lib/ceph/osd/ceph-0"])
def test_a_dead_osd_goes_when_all_is_whole_without_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    monkeypatch.setattr(osd_leaving, "STALE", 2)
    uuid, spec = lab.osd_spec(9 if lost else 8)
    run(engine, {"ceph_osd": {uuid: spec}})
    sh(f"kill -9 $(daemons 'osd .*--id 0'); sleep 0.5; ceph osd down 0; {lost}")
    said = refusal(engine, uuid)
    assert said is not None
    assert "does not run" in said
    for _ in range(60):
        if refusal(engine, uuid) is None:
            break
        time.sleep(1)
    assert lab.ceph("osd", "stat")["num_osds"] == 2
    assert uuid not in engine.list("ceph_osd")
    assert run(engine, {"ceph_osd": {uuid: {"ensure": "absent"}}}) == []


def test_monitors_join_and_two_of_three_are_enough(engine: Engine) -> None:
    names = ("mon1", "mon2", "mon3")
    things = lab.whole(*names, osds=0)
    assert run(engine, things) == [
        "ceph_config ceph content",
        "ceph_mon mon2 ensure",
        "ceph_mon mon3 ensure",
    ]
    assert lab.ceph("quorum_status")["quorum_names"] == list(names)
    assert run(engine, things) == []
    sh("kill -9 $(daemons 'mon .*--id mon3')")
    assert run(engine, things) == ["ceph_mon mon3 state"]


def test_says_so_when_there_is_no_quorum(engine: Engine) -> None:
    things = lab.whole("mon1", "mon2", "mon3", osds=2)
    sh("kill -9 $(daemons 'mon .*--id mon[23]')")
    time.sleep(6)
    for kind in ("ceph_key", "ceph_pool"):
        for name, one in engine.compare(kind, things[kind]).items():
            if name != "ceph/mon.":
                assert one["error"]["code"] == "no_quorum"
                assert "v2:10.97.0.2:3300" in one["error"]["message"]
    assert run(engine, {"ceph_mon": things["ceph_mon"]}) == [
        "ceph_mon mon2 state",
        "ceph_mon mon3 state",
    ]
    assert run(engine, {"ceph_key": things["ceph_key"]}) == []


def test_a_monitor_whose_data_are_lost_comes_back(engine: Engine) -> None:
    things = lab.whole("mon1", "mon2", "mon3", osds=0)
    sh(f"kill -9 $(daemons 'mon .*--id mon2'); rm -r {MON}2")
    assert run(engine, things) == ["ceph_mon mon2 ensure"]
    assert lab.ceph("quorum_status")["quorum_names"] == ["mon1", "mon2", "mon3"]


def test_refuses_data_of_another_cluster_and_another_address(engine: Engine) -> None:
    spec = lab.mon_spec("mon1", "mon2", "mon3")
    other = {**spec, "cluster": {**spec["cluster"], "fsid": "b" + lab.FSID[1:]}}
    with pytest.raises(HostError, match="another cluster"):
        engine.apply("ceph_mon", "mon1", other)
    sh("kill -9 $(daemons 'mon .*--id mon2')")
    # Also while it is stopped: it must not be started then.
    with pytest.raises(HostError, match="another cluster"):
        engine.apply("ceph_mon", "mon2", other)
    assert engine.list("ceph_mon")["mon2"]["state"] == "stopped"
    run(engine, {"ceph_mon": {"mon2": spec}})
    spec["peers"]["mon2"]["address"] = "10.97.0.9"
    with pytest.raises(HostError, match="cannot move to another address"):
        engine.apply("ceph_mon", "mon2", spec)


def test_a_monitor_goes_and_its_data_stay(engine: Engine) -> None:
    gone = {"ensure": "absent", "host": "mon3.example.net"}
    assert run(engine, {"ceph_mon": {"mon3": gone}}) == ["ceph_mon mon3 ensure"]
    assert [one["name"] for one in lab.ceph("mon", "dump")["mons"]] == ["mon1", "mon2"]
    assert list(Path("/var/lib/ceph/mon").glob("ceph-mon3.removed-*"))
    assert "mon3" not in engine.list("ceph_mon")
    assert run(engine, {"ceph_mon": {"mon3": gone}}) == []
