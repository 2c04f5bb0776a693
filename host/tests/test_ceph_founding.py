"""How a cluster begins when several hosts begin at once, or in the wrong order, or are killed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import ceph as lab
from support.ceph import run, sh

from corral_host.ceph import founding
from corral_host.errors import HostError

if TYPE_CHECKING:
    from corral_host.engine import Engine

NAMES = ("mon1", "mon2", "mon3")


def test_only_the_founder_begins(ceph_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(founding, "FOUNDER_TIMEOUT", 2)
    things = lab.whole(*NAMES, osds=0)
    files = {kind: things[kind] for kind in ("ceph_config", "ceph_keyring")}
    run(ceph_engine, files)
    with pytest.raises(HostError, match=r"mon1 .*does not answer") as error:
        ceph_engine.apply("ceph_mon", "mon2", lab.mon_spec(*NAMES))
    assert error.value.code == "no_founder"
    assert ceph_engine.list("ceph_mon") == {}


def test_three_hosts_at_once_begin_one_cluster(ceph_engine: Engine) -> None:
    # The founder comes last, and one of them is killed between its data and its start.
    hosts = []
    for name in reversed(NAMES):
        hosts.append(lab.apply_elsewhere("ceph_mon", {name: lab.mon_spec(*NAMES)}))
        time.sleep(0.5)
    data = Path("/var/lib/ceph/mon/ceph-mon2")
    while not data.exists():
        time.sleep(0.001)
    os.killpg(hosts[1].pid, signal.SIGKILL)
    hosts[1].wait()
    hosts[1] = lab.apply_elsewhere("ceph_mon", {"mon2": lab.mon_spec(*NAMES)})
    for host in hosts:
        output, errors = host.communicate(timeout=120)
        assert host.returncode == 0, (output, errors)
    assert lab.ceph("quorum_status")["quorum_names"] == list(NAMES)
    assert lab.ceph("fsid")["fsid"] == lab.FSID
    assert run(ceph_engine, {"ceph_mon": lab.whole(*NAMES, osds=0)["ceph_mon"]}) == []


def test_what_was_begun_and_killed_is_finished(ceph_engine: Engine) -> None:
    sh("kill -9 $(daemons 'mon .*--id mon3') $(daemons 'mgr .*--id mon3')")
    sh("rm -r /var/lib/ceph/mon/ceph-mon3; mkdir -p /var/lib/ceph/mon/.ceph-mon3.new/store.db")
    spec = {"mon3": lab.mon_spec(*NAMES)}
    assert run(ceph_engine, {"ceph_mon": spec}) == ["ceph_mon mon3 ensure"]
    assert lab.ceph("quorum_status")["quorum_names"] == list(NAMES)


def test_a_lost_cluster_is_not_begun_anew_beside_its_data(ceph_engine: Engine) -> None:
    sh("kill -9 $(daemons m); rm -r /var/lib/ceph/mon/ceph-*")
    sh(f"mkdir -p /var/lib/ceph/osd/ceph-5; echo {lab.FSID} >/var/lib/ceph/osd/ceph-5/ceph_fsid")
    with pytest.raises(HostError, match="was there before"):
        ceph_engine.apply("ceph_mon", "mon1", lab.mon_spec("mon1"))
    sh("rm -r /var/lib/ceph/osd/ceph-5")
    assert run(ceph_engine, {"ceph_mon": {"mon1": lab.mon_spec("mon1")}}) == [
        "ceph_mon mon1 ensure",
    ]


def test_monitors_that_are_added_begin_no_second_cluster(
    ceph_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(founding, "FOUNDER_TIMEOUT", 1)
    # The founder is down: two of three would be most of them.
    sh("kill -9 $(daemons 'mon .*--id mon1'); sleep 0.5")
    for name in ("mon2", "mon3"):
        with pytest.raises(HostError) as error:
            ceph_engine.apply("ceph_mon", name, lab.mon_spec(*NAMES))
        assert error.value.code == "no_founder"
    # It is up, with a quorum: they join.
    two = {name: lab.mon_spec("mon1", "mon2") for name in ("mon1", "mon2")}
    run(ceph_engine, {"ceph_mon": two})
    # It is up, without a quorum: they wait.
    sh("kill -9 $(daemons 'mon .*--id mon2')")
    time.sleep(6)
    with pytest.raises(HostError, match="has no quorum to join") as error:
        ceph_engine.apply("ceph_mon", "mon3", lab.mon_spec(*NAMES))
    assert error.value.code == "no_quorum"
    three = {"mon2": two["mon2"], "mon3": lab.mon_spec(*NAMES)}
    assert run(ceph_engine, {"ceph_mon": three}) == ["ceph_mon mon2 state", "ceph_mon mon3 ensure"]
    assert lab.ceph("quorum_status")["quorum_names"] == list(NAMES)


@pytest.mark.parametrize(
    ("kind", "name", "change", "words"),
    [
        ("ceph_mon", "mon1", {"peers": {}}, "names no monitor"),
        ("ceph_mon", "mon9", {}, "does not name the monitor mon9"),
        ("ceph_mon", "mon1", {"keys": {}}, "no mon."),
        ("ceph_mon", "mon1", {"cluster": {"name": "../x"}}, "must be a"),
        ("ceph_config", "ceph", {"options": {"global": {"x": "a\nb"}}}, "one line"),
        ("ceph_config", "ceph", {"options": {"a]\n[b": {}}}, "not a section"),
        ("ceph_config", "other", {}, "is of the cluster ceph"),
        ("ceph_key", "ceph/client.libvirt", {"secret": "AQ=="}, "not a key"),
        ("ceph_key", "ceph/client.libvirt", {"caps": {"mon": 'x" y'}}, "without quotes"),
        ("ceph_key", "client.libvirt", {}, "must be named"),
        ("ceph_keyring", "ceph/../x", {}, "must name an entity"),
        ("ceph_pool", "ceph/vms", {"min_size": 5}, "at most its size"),
        ("ceph_osd", "5", {}, "must be a uuid"),
        ("ceph_osd", lab.osd_uuid(1), {"weight": -1}, "from 0"),
        ("ceph_osd", lab.osd_uuid(1), {"data_device": "sda"}, "absolute path"),
    ],
)
def test_bad_specs_are_named_before_anything_is_touched(
    ceph_engine: Engine, kind: str, name: str, change: dict, words: str
) -> None:
    good = next(iter(lab.whole("mon1", osds=1)[kind].values()))
    if kind == "ceph_key":
        good = lab.key_spec("client.libvirt", mon="profile rbd")
    wrong = ceph_engine.check({kind: {name: {**good, **change}}})
    assert [one["code"] for one in wrong] == ["bad_spec"]
    assert words in wrong[0]["message"]
    for secret in lab.SECRETS.values():
        assert secret not in wrong[0]["message"]


def test_takes_over_a_configuration_of_the_same_cluster_only(ceph_engine: Engine) -> None:
    path, kept = Path("/etc/ceph/ceph.conf"), Path("/etc/ceph/ceph.conf.before-corral")
    path.write_text(f"[global]\n  fsid = {lab.FSID} ; ours\n  mon host = 10.97.0.1\n")
    spec = lab.config_spec("mon1")
    before = path.read_text()
    assert run(ceph_engine, {"ceph_config": {"ceph": spec}}) == ["ceph_config ceph content"]
    assert kept.read_text() == before
    path.write_text("[global]\nfsid = 11111111-2222-4333-8444-555555555555\n")
    before = path.read_text()
    with pytest.raises(HostError, match="another cluster"):
        ceph_engine.apply("ceph_config", "ceph", spec)
    with pytest.raises(HostError, match="not written by Corral"):
        ceph_engine.apply("ceph_config", "ceph", {"ensure": "absent"})
    assert path.read_text() == before


def test_addresses_of_ipv6_and_where_the_port_is_the_second_protocols(ceph_engine: Engine) -> None:
    Path("/etc/ceph/six.conf").unlink(missing_ok=True)
    spec = {
        "ensure": "present",
        "cluster": {"name": "six", "fsid": lab.FSID, "public_network": "2001:db8:2::/64"},
        "peers": {
            "a": {"ensure": "present", "host": "a", "address": "2001:db8:2::21", "port": 6789},
            "b": {"ensure": "present", "host": "b", "address": "2001:db8:2::22", "port": 3300},
            "c": {"ensure": "absent", "host": "c"},
        },
    }
    assert run(ceph_engine, {"ceph_config": {"six": spec}}) == ["ceph_config six ensure"]
    text = Path("/etc/ceph/six.conf").read_text()
    for n in (21, 22):
        assert f"[v2:[2001:db8:2::{n}]:3300,v1:[2001:db8:2::{n}]:6789]" in text
    assert "ms_bind_ipv6 = true" in text
    assert run(ceph_engine, {"ceph_config": {"six": {"ensure": "absent"}}}) != []
    assert not Path("/etc/ceph/six.conf").exists()
