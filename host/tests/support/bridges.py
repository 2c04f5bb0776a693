"""Specs of bridges, and what is asked of the engine and of ip about them."""

from __future__ import annotations

from support.netns import ip, ip_json


def wanted(**more):
    """A VM's bridge in a network of its own."""
    return {
        "ensure": "present",
        "kind": "vm",
        "mtu": 1500,
        "ports": [],
        "vlan_filtering": False,
        "addresses": [],
        "routes": [],
        "routed": False,
        **more,
    }


ROUTED = wanted(
    addresses=[{"address": "203.0.113.1/32"}, {"address": "fe80::1/64"}],
    routes=["203.0.113.7/32", "2001:db8:7::7/128"],
    routed=True,
)
CABLED = wanted(
    ports=[{"kind": "veth", "name": "ca1", "peer": "cb1", "mtu": 1500}],
)
VXLAN = wanted(
    kind="network",
    vlan_filtering=True,
    mtu=1450,
    ports=[
        {"kind": "veth", "name": "cb1", "peer": "ca1", "mtu": 1450},
        {
            "kind": "vxlan",
            "name": "cx5001",
            "id": 5001,
            "group": "239.1.1.1",
            "local": "10.0.0.10",
            "parent": "eth0",
            "port": 4789,
            "mtu": 1450,
        },
    ],
)


def nic(name="eth0", *addresses):
    ip(f"link add {name} type veth peer name {name}-wire")
    ip(f"link set {name} up", f"link set {name}-wire up")
    for one in addresses:
        ip(f"address add {one} dev {name}{' nodad' if ':' in one else ''}")


def compare(engine, name, spec):
    engine.kind("bridge").forget()
    one = engine.compare("bridge", {name: spec})[name]
    assert one["error"] is None, one
    return one


def differing(engine, name, spec):
    one = compare(engine, name, spec)
    assert one["present"] is True
    assert one["refused"] == []
    return [d["property"] for d in one["differences"]]


def link(name):
    return ip_json(f"-details link show dev {name}")[0]


def names():
    return {one["ifname"] for one in ip_json("link show")}
