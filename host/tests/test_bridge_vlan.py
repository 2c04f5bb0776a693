"""VLANs, on a kernel that has them: devices with a tag, and bridges that keep tags out."""

from __future__ import annotations

import os
import socket
import subprocess
import time

import pytest
from support.bridges import CABLED, VXLAN, compare, differing, link, nic, wanted
from support.netns import ip, ip_json, namespace
from test_bridge_takeover import FLAT, addresses, answer_all, plug, reachable, wire  # noqa: F401

from corral_host.engine import Engine
from corral_host.errors import HostError
from corral_host.session import Session, Settings

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root is needed")

VLAN = wanted(
    kind="network",
    vlan_filtering=True,
    ports=[
        {"kind": "veth", "name": "cb1", "peer": "ca1", "mtu": 1500},
        {"kind": "vlan", "name": "cv100-a", "parent": "eth0", "tag": 100, "mtu": 1500},
    ],
)
TAGGED = wanted(
    kind="network",
    vlan_filtering=True,
    ports=[{"kind": "vlan", "name": "cv200-b", "parent": "br-17-1", "tag": 200, "mtu": 1400}],
)


@pytest.fixture
def engine(tmp_path):
    with namespace():
        nic("eth0", "10.0.0.10/24")
        try:
            ip("link add link eth0 name probe type vlan id 7", "link delete probe")
        except AssertionError:
            pytest.skip("this kernel has no VLANs")
        session = Session(Settings(state_dir=tmp_path / "state"))
        yield Engine(session)
        session.close()


@pytest.mark.parametrize("first", ["br-17-1", "cn-1", "cn-2"])
def test_made_in_any_order(engine, first):
    specs = {"br-17-1": CABLED, "cn-1": VLAN, "cn-2": TAGGED}
    for name in sorted(specs, key=lambda one: one != first):
        engine.apply("bridge", name, specs[name])
    for name, spec in specs.items():
        assert differing(engine, name, spec) == []
        assert compare(engine, name, spec)["pending"] == []
    assert link("cv100-a")["master"] == "cn-1"
    assert (link("cv200-b")["master"], link("cv200-b")["link"]) == ("cn-2", "br-17-1")
    assert link("cn-1")["linkinfo"]["info_data"]["vlan_filtering"] == 1
    assert link("br-17-1")["linkinfo"]["info_data"]["vlan_filtering"] == 0
    for name in specs:
        engine.apply("bridge", name, {"ensure": "absent"})
    assert {one["ifname"] for one in ip_json("link show")} == {"lo", "eth0", "eth0-wire"}


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("bridge vlan add dev cb1 vid 20", "vlan_filtering"),
        ("bridge vlan delete dev cb1 vid 1", "vlan_filtering"),
        ("bridge vlan add dev cv100-a vid 1 pvid", "vlan_filtering"),
        ("ip link set cn-1 type bridge vlan_filtering 0", "vlan_filtering"),
        ("ip link delete cv100-a", "ports"),
        ("ip link set cv100-a nomaster", "ports"),
        ("ip link set cv100-a mtu 1400", "ports"),
        ("ip link set cv100-a down", "ports"),
    ],
)
def test_each_damage_is_named_and_mended(engine, damage, named):
    engine.apply("bridge", "cn-1", VLAN)
    subprocess.run(damage.split(), check=True)
    assert differing(engine, "cn-1", VLAN) == [named]
    engine.apply("bridge", "cn-1", VLAN)
    assert differing(engine, "cn-1", VLAN) == []


def test_changed_tag_is_made_anew(engine):
    engine.apply("bridge", "cn-1", VLAN)
    changed = {**VLAN, "ports": [VLAN["ports"][0], {**VLAN["ports"][1], "tag": 101}]}
    assert differing(engine, "cn-1", changed) == ["ports"]
    engine.apply("bridge", "cn-1", changed)
    assert differing(engine, "cn-1", changed) == []
    assert link("cv100-a")["linkinfo"]["info_data"]["id"] == 101


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ("link delete eth0", "no network interface eth0, which cv100-a is made on"),
        ("link set eth0 down", "eth0 is switched off"),
        ("link set eth0 mtu 1400", "eth0 has MTU 1400, and cv100-a on it needs 1500"),
    ],
)
def test_what_is_below_is_not_fit(engine, before, message):
    ip(before)
    with pytest.raises(HostError, match=message):
        engine.apply("bridge", "cn-1", VLAN)


def test_parent_goes_down_and_comes_up(engine):
    engine.apply("bridge", "cn-1", VLAN)
    ip("link set eth0 down")
    assert differing(engine, "cn-1", VLAN) == ["ports"]
    engine.kind("bridge").forget()
    with pytest.raises(HostError, match="eth0 is switched off"):
        engine.apply("bridge", "cn-1", VLAN)
    ip("link set eth0 up")
    engine.kind("bridge").forget()
    engine.apply("bridge", "cn-1", VLAN)
    assert differing(engine, "cn-1", VLAN) == []


def test_larger_mtu_of_a_tag_on_a_vms_bridge(engine):
    engine.apply("bridge", "br-17-1", wanted(mtu=1300))
    engine.apply("bridge", "cn-2", TAGGED)
    assert differing(engine, "cn-2", TAGGED) == []


def frames(source, target, kind, count=5):
    """How many frames of an Ethernet type get from one device to another."""
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as sending,
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as receiving,
    ):
        sending.bind((source, 0))
        receiving.bind((target, 0))
        receiving.settimeout(0.5)
        body = b"corral" + os.urandom(50)
        for _ in range(count):
            sending.send(b"\xff" * 6 + b"\x02corra" + kind + body)
        got = 0
        limit = time.monotonic() + 1
        while time.monotonic() < limit:
            try:
                got += body in receiving.recv(2000)
            except TimeoutError:  # noqa: PERF203
                break
        return got


def test_frames_with_a_tag_do_not_pass(engine):
    ports = [{**VLAN["ports"][0], "name": f"cb{n}", "peer": f"ca{n}"} for n in (1, 2)]
    engine.apply("bridge", "cn-1", {**VLAN, "ports": ports})
    time.sleep(0.5)
    assert frames("ca1", "ca2", b"\x88\xb5") == 5
    assert frames("ca1", "ca2", b"\x81\x00\x00\x14\x88\xb5") == 0
    # And would, if it were not for the filter.
    ip("link set cn-1 type bridge vlan_filtering 0")
    assert frames("ca1", "ca2", b"\x81\x00\x00\x14\x88\xb5") == 5


def test_interface_taken_over_behind_a_filter(engine, wire):  # noqa: F811
    plug(wire)
    before = addresses("eth3")
    spec = {**FLAT, "vlan_filtering": True}
    engine.apply("bridge", "cn-1", spec)
    assert differing(engine, "cn-1", spec) == []
    assert addresses("cn-1") == before
    answer_all()
    reachable(wire)
    engine.apply("bridge", "cn-1", {"ensure": "absent"})
    assert addresses("eth3") == before


def test_vxlan_filters_too(engine):
    engine.apply("bridge", "cn-1", VXLAN)
    one = compare(engine, "cn-1", VXLAN)
    assert (one["differences"], one["pending"]) == ([], [])
