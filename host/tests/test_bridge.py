"""Bridges in a network namespace of their own, with the real ip and the real kernel."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from support.bridges import CABLED, ROUTED, VXLAN, compare, differing, link, names, nic, wanted
from support.netns import ip, ip_json, namespace

from corral_host.engine import Engine
from corral_host.errors import HostError
from corral_host.session import Session, Settings

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root is needed")


@pytest.fixture
def engine(tmp_path):
    with namespace():
        session = Session(Settings(state_dir=tmp_path))
        yield Engine(session)
        session.close()


def test_routed_bridge_is_made_and_stays(engine):
    before = engine.apply("bridge", "br-17-0", ROUTED)
    assert (before["present"], before["wanted"]) == (False, True)
    assert differing(engine, "br-17-0", ROUTED) == []
    data = link("br-17-0")["linkinfo"]["info_data"]
    assert (data["stp_state"], data["forward_delay"], data["mcast_snooping"]) == (0, 0, 0)
    assert [one["dst"] for one in ip_json("route show dev br-17-0")] == ["203.0.113.7"]
    assert "2001:db8:7::7" in [one["dst"] for one in ip_json("-6 route show dev br-17-0")]
    read = lambda path: Path("/proc/sys/net", path).read_text().strip()  # noqa: E731
    assert read("ipv4/ip_forward") == read("ipv6/conf/all/forwarding") == "1"
    assert read("ipv4/conf/br-17-0/proxy_arp") == read("ipv4/conf/br-17-0/rp_filter") == "1"
    found = engine.kind("bridge").found()["br-17-0"]
    assert found.managed
    mac = link("br-17-0")["address"]
    engine.apply("bridge", "br-17-0", {"ensure": "absent"})
    assert names() == {"lo"}
    engine.apply("bridge", "br-17-0", ROUTED)
    assert link("br-17-0")["address"] == mac


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("link set br-17-0 mtu 1400", "mtu"),
        ("link set br-17-0 type bridge stp_state 1", "state"),
        ("link set br-17-0 type bridge mcast_snooping 1", "state"),
        ("link set br-17-0 address 02:00:00:00:00:01", "state"),
        # With the last address of a device the kernel drops its routes.
        ("address delete 203.0.113.1/32 dev br-17-0", "addresses routes"),
        ("address delete fe80::1/64 dev br-17-0", "addresses"),
        ("address add 198.51.100.9/32 dev br-17-0", "addresses"),
        ("route delete 203.0.113.7/32 dev br-17-0", "routes"),
        ("-6 route delete 2001:db8:7::7/128 dev br-17-0", "routes"),
        ("route add 198.51.100.1/32 dev br-17-0 proto 163", "routes"),
    ],
)
def test_each_damage_is_named_and_mended(engine, damage, named):
    engine.apply("bridge", "br-17-0", ROUTED)
    ip(damage)
    assert differing(engine, "br-17-0", ROUTED) == named.split()
    engine.apply("bridge", "br-17-0", ROUTED)
    assert differing(engine, "br-17-0", ROUTED) == []


@pytest.mark.parametrize(
    "setting",
    [
        "ipv4/ip_forward",
        "ipv4/conf/br-17-0/proxy_arp",
        "ipv4/conf/br-17-0/rp_filter",
        "ipv6/conf/all/forwarding",
    ],
)
def test_forwarding_damaged(engine, setting):
    engine.apply("bridge", "br-17-0", ROUTED)
    engine.apply("bridge", "br-18-0", wanted())
    Path("/proc/sys/net", setting).write_text("0")
    assert differing(engine, "br-17-0", ROUTED) == ["forwarding"]
    engine.apply("bridge", "br-17-0", ROUTED)
    assert differing(engine, "br-17-0", ROUTED) == []
    # The host forwards again; what only passes frames does not.
    assert differing(engine, "br-18-0", wanted()) == []


def test_down_by_hand(engine):
    engine.apply("bridge", "br-17-0", wanted())
    ip("link set br-17-0 down")
    assert differing(engine, "br-17-0", wanted()) == ["state"]
    engine.apply("bridge", "br-17-0", wanted())
    assert differing(engine, "br-17-0", wanted()) == []


def test_closed_bridge_has_no_part_of_the_host(engine):
    nic("eth0", "10.0.0.10/24")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    engine.apply("bridge", "br-17-1", wanted())
    assert link("br-17-1")["mtu"] == 1500
    assert [a for one in ip_json("address show dev br-17-1") for a in one["addr_info"]] == []
    Path("/proc/sys/net/ipv4/conf/br-17-1/forwarding").write_text("1")
    assert differing(engine, "br-17-1", wanted()) == ["forwarding"]


@pytest.mark.parametrize("first", ["br-17-1", "cn-1"])
def test_cable_and_vxlan_in_either_order(engine, first):
    nic("eth0", "10.0.0.10/24")
    specs = {"br-17-1": CABLED, "cn-1": VXLAN}
    for name in sorted(specs, key=lambda one: one != first):
        engine.apply("bridge", name, specs[name])
    for name, spec in specs.items():
        assert differing(engine, name, spec) == []
    assert link("ca1")["master"] == "br-17-1"
    assert link("cb1")["master"] == link("cx5001")["master"] == "cn-1"
    data = link("cx5001")["linkinfo"]["info_data"]
    assert (data["id"], data["group"], data["link"], data["port"]) == (
        5001,
        "239.1.1.1",
        "eth0",
        4789,
    )
    # This kernel may be built without VLAN filtering: then that is said and waits.
    pending = compare(engine, "cn-1", VXLAN)["pending"]
    assert [one["property"] for one in pending] in ([], ["vlan_filtering"])
    engine.apply("bridge", "br-17-1", {"ensure": "absent"})
    assert differing(engine, "cn-1", VXLAN) == ["ports"]
    engine.apply("bridge", "cn-1", {"ensure": "absent"})
    assert names() == {"lo", "eth0", "eth0-wire"}


@pytest.mark.parametrize(
    "damage",
    [
        "link delete cx5001",
        "link set cx5001 down",
        "link set cx5001 nomaster",
        "link set cx5001 mtu 1400",
        "link set cb1 nomaster",
        "link delete cb1",
        "link add cx9 master cn-1 group 49310 type vxlan id 9 dstport 4789",
    ],
)
def test_damaged_ports(engine, damage):
    nic("eth0", "10.0.0.10/24")
    for name, spec in (("br-17-1", CABLED), ("cn-1", VXLAN)):
        engine.apply("bridge", name, spec)
    ip(damage)
    assert differing(engine, "cn-1", VXLAN) == ["ports"]
    for name, spec in (("cn-1", VXLAN), ("br-17-1", CABLED)):
        engine.apply("bridge", name, spec)
    assert differing(engine, "cn-1", VXLAN) == []
    assert differing(engine, "br-17-1", CABLED) == []
    assert "cx9" not in names()


def test_changed_vxlan_is_made_anew(engine):
    nic("eth0", "10.0.0.10/24")
    engine.apply("bridge", "cn-1", VXLAN)
    changed = json.loads(json.dumps(VXLAN))
    changed["ports"][1].update(group="239.1.1.2", mtu=1400)
    [one] = compare(engine, "cn-1", changed)["differences"]
    assert "group 239.1.1.1" in one["current"]
    assert "group 239.1.1.2" in one["wanted"]
    engine.apply("bridge", "cn-1", changed)
    assert differing(engine, "cn-1", changed) == []
    del changed["ports"][1]["group"]
    engine.apply("bridge", "cn-1", changed)
    assert differing(engine, "cn-1", changed) == []


def test_removed_bridge_gets_its_guest_back(engine):
    engine.apply("bridge", "br-17-0", wanted(mtu=1400))
    ip("tuntap add 17-0 mode tap", "link set 17-0 master br-17-0 mtu 1400 up")
    assert differing(engine, "br-17-0", wanted(mtu=1400)) == []
    ip("link delete br-17-0")
    assert compare(engine, "br-17-0", wanted(mtu=1400))["present"] is False
    engine.apply("bridge", "br-17-0", wanted(mtu=1400))
    assert link("17-0")["master"] == "br-17-0"
    ip("link set 17-0 nomaster")
    assert differing(engine, "br-17-0", wanted(mtu=1400)) == ["ports"]
    engine.apply("bridge", "br-17-0", wanted(mtu=1400))
    with pytest.raises(HostError, match="a running VM is plugged in by 17-0"):
        engine.apply("bridge", "br-17-0", {"ensure": "absent"})
    assert link("17-0")["master"] == "br-17-0"


def test_mtu_does_not_follow_a_small_port(engine):
    spec = wanted(ports=[{"kind": "veth", "name": "ca1", "peer": "cb1", "mtu": 1400}])
    engine.apply("bridge", "br-17-1", spec)
    ip("link add x type veth peer name y", "link set x mtu 1300 master br-17-1")
    assert differing(engine, "br-17-1", spec) == []


def test_hundred_bridges_are_compared_at_once(engine):
    nic("eth0", "10.0.0.10/24")
    specs = {}
    for number in range(100):
        specs[f"br-{number}-0"] = wanted(
            ports=[{"kind": "veth", "name": f"ca{number}", "peer": f"cb{number}", "mtu": 1500}]
        )
    ports = [{**VXLAN["ports"][0], "name": f"cb{n}", "peer": f"ca{n}"} for n in range(100)]
    specs["cn-1"] = {**VXLAN, "ports": [*ports, VXLAN["ports"][1]]}
    start = time.monotonic()
    for name, spec in specs.items():
        engine.apply("bridge", name, spec)
    made = time.monotonic() - start
    engine.kind("bridge").forget()
    start = time.monotonic()
    result = engine.compare("bridge", specs)
    compared = time.monotonic() - start
    assert all(one["error"] is None and not one["differences"] for one in result.values())
    print(  # noqa: T201
        f"101 bridges made in {made:.1f} s, compared in {compared:.2f} s"
    )
