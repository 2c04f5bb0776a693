"""A bridge that takes over the host's own interface, and runs that are killed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from support.netns import FLOOD, ip, ip_json, namespace

from corral_host.engine import Engine
from corral_host.errors import HostError
from corral_host.session import Session, Settings

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root is needed")

FLAT = {
    "ensure": "present",
    "kind": "network",
    "networks": ["lab"],
    "mtu": 1500,
    "ports": [
        {"kind": "veth", "name": "cb1", "peer": "ca1", "mtu": 1400},
        {"kind": "interface", "name": "eth3"},
    ],
    # This kernel cannot filter; what it then does has a test of its own.
    "vlan_filtering": False,
    "addresses": [{"address": "10.9.0.10/24", "gateway": "10.9.0.1"}],
    "routes": [],
    "routed": False,
}
ROUTES = [
    "default via 10.9.0.1 metric 100",
    "10.20.0.0/16 via 10.9.0.2",
    "192.0.2.0/24 scope link",
    "default via 2001:db8:9::1 metric 1024",
    "2001:db8:20::/48 via fe80::99 metric 7",
]


@pytest.fixture
def engine(tmp_path):
    with namespace():
        session = Session(Settings(state_dir=tmp_path / "state"))
        yield Engine(session)
        session.close()


@pytest.fixture
def wire():
    """The rest of the network, in a namespace of its own, behind eth3."""
    other = subprocess.Popen(["unshare", "-n", "sleep", "600"])
    try:
        while Path(f"/proc/{other.pid}/ns/net").samefile("/proc/self/ns/net"):
            pass
        yield other.pid
    finally:
        other.kill()
        other.wait()


def plug(pid):
    ip("link add eth3 type veth peer name wire", f"link set wire netns {pid}", "link set eth3 up")
    inside(pid, "ip link set wire up; ip address add 10.9.0.1/24 dev wire")
    inside(pid, "ip address add 2001:db8:9::1/64 dev wire nodad")
    ip("address add 10.9.0.10/24 brd + dev eth3", "address add 10.9.0.11/24 dev eth3")
    ip("address add 2001:db8:9::10/64 dev eth3 nodad")
    for one in ROUTES:
        to, *rest = one.split()
        family = "-6 " if ":" in one else ""
        ip(f"{family}route add {to} {' '.join(rest)} dev eth3")


def inside(pid, command):
    return subprocess.run(
        ["nsenter", f"--net=/proc/{pid}/ns/net", "sh", "-c", command],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def addresses(device):
    """Global addresses with their broadcast, and routes but the kernel's."""
    shown = ip_json(f"address show dev {device} scope global")
    held = {
        (a["local"], a["prefixlen"], a.get("broadcast"))
        for one in shown
        for a in one.get("addr_info", [])
        if "local" in a
    }
    routes = set()
    for family in ("-4", "-6"):
        for one in ip_json(f"{family} route show dev {device}"):
            if one.get("protocol") != "kernel":
                routes.add((one["dst"], one.get("gateway"), one.get("metric"), one.get("scope")))
    return held, routes


def answer_all():
    """Send back every packet to port 7000, until the process ends."""
    one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    one.bind(("::", 7000))

    def serve():
        while True:
            one.sendto(*one.recvfrom(10))

    threading.Thread(target=serve, daemon=True).start()


def reachable(pid):
    """The host answers on both of its families, the first packet aside."""
    for to in ("10.9.0.10", "2001:db8:9::10"):
        assert int(inside(pid, f"python3 -c '{FLOOD}' {to} 20").split()[1]) < 5, to


def master(device):
    return ip_json(f"link show dev {device}")[0].get("master")


def apply(engine, spec):
    """As a run that begins now."""
    engine.kind("bridge").forget()
    return engine.apply("bridge", "cn-1", spec)


def differing(engine, name, spec):
    engine.kind("bridge").forget()
    one = engine.compare("bridge", {name: spec})[name]
    assert one["error"] is None, one
    assert one["present"]
    return [d["property"] for d in one["differences"]]


def test_interface_is_taken_over_and_given_back(engine, wire):
    plug(wire)
    before = addresses("eth3")
    mac = ip_json("link show dev eth3")[0]["address"]
    answer_all()
    flood = subprocess.Popen(
        ["nsenter", f"--net=/proc/{wire}/ns/net", "python3", "-c", FLOOD, "10.9.0.10", "600"],
        stdout=subprocess.PIPE,
        text=True,
    )
    flood.stdout.readline()
    apply(engine, FLAT)
    assert addresses("cn-1") == before
    assert addresses("eth3") == (set(), set())
    assert ip_json("link show dev cn-1")[0]["address"] == mac
    assert master("eth3") == "cn-1"
    assert differing(engine, "cn-1", FLAT) == []
    ip("-6 route get 2001:db8:20::1", "route get 10.20.0.1")
    reachable(wire)
    apply(engine, {"ensure": "absent"})
    assert addresses("eth3") == before
    assert master("eth3") is None
    lost = int(flood.communicate()[0])
    print(  # noqa: T201
        f"{lost} of 600 packets lost in switching there and back, one in 5 ms"
    )
    assert lost < 20
    reachable(wire)
    assert not list(engine.session.settings.state_dir.glob("bridges/*"))


def test_damage_comes_back(engine, wire):
    plug(wire)
    apply(engine, FLAT)
    ip("link set eth3 nomaster")
    assert differing(engine, "cn-1", FLAT) == ["ports"]
    apply(engine, FLAT)
    # As an interface that the host configures again, e.g. at its next boot.
    ip("address add 10.9.0.12/24 dev eth3")
    assert differing(engine, "cn-1", FLAT) == ["addresses"]
    apply(engine, FLAT)
    # The kernel takes the others of the subnet and the routes with it.
    ip("address delete 10.9.0.10/24 dev cn-1")
    assert differing(engine, "cn-1", FLAT) == ["addresses", "routes"]
    apply(engine, FLAT)
    # The host's own default route is gone: the document's gateway makes one.
    ip("route flush default")
    assert differing(engine, "cn-1", FLAT) == ["routes"]
    apply(engine, FLAT)
    assert differing(engine, "cn-1", FLAT) == []
    ip("link delete cn-1")
    apply(engine, FLAT)
    assert differing(engine, "cn-1", FLAT) == []
    assert [one["gateway"] for one in ip_json("route show default")] == ["10.9.0.1"]


def test_failure_puts_everything_back(engine, wire):
    plug(wire)
    before = addresses("eth3")
    # What cannot be made anywhere: a gateway that nobody has.
    state = engine.session.settings.state_dir / "bridges"
    state.mkdir(parents=True)
    bad = {"interface": "eth3", "addresses": [], "routes": ["198.51.100.0/24 via 203.0.113.1"]}
    (state / "cn-1.json").write_text(json.dumps(bad))
    with pytest.raises(HostError, match="eth3 keeps its addresses"):
        apply(engine, FLAT)
    assert addresses("eth3") == before
    assert master("eth3") is None
    answer_all()
    reachable(wire)


def test_interface_of_another_bridge_or_missing(engine, wire):
    with pytest.raises(HostError, match="no network interface eth3"):
        apply(engine, FLAT)
    plug(wire)
    ip("link add other type bridge", "link set eth3 master other")
    with pytest.raises(HostError, match="eth3 is a part of other already"):
        apply(engine, FLAT)
    assert master("eth3") == "other"
    ip("link set eth3 nomaster", "link set eth3 mtu 1300")
    with pytest.raises(HostError, match="eth3 has MTU 1300"):
        apply(engine, FLAT)


def test_wire_is_not_joined_without_filtering(engine, wire):
    plug(wire)
    spec = {**FLAT, "vlan_filtering": True}
    ip("link add probe type bridge")
    probe = ip_json("-details link show dev probe")[0]
    if "vlan_default_pvid" in probe["linkinfo"]["info_data"]:
        pytest.skip("this kernel can filter")
    with pytest.raises(HostError, match="CONFIG_BRIDGE_VLAN_FILTERING"):
        apply(engine, spec)
    assert master("eth3") is None
