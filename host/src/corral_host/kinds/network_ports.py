"""What is plugged into a bridge: as wanted, as it is, and the commands that make one the other."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from corral_host.errors import HostError
from corral_host.kinds.network_links import GROUP
from corral_host.kinds.network_sysctl import has_ipv6

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corral_host.kinds.network_links import Link, Network

#: Bytes that a VXLAN adds to a frame over IPv4; 20 more over IPv6.
VXLAN_OVERHEAD = 50
#: A bridge of a VM's interface; the interface's device has the rest of the name.
VM_BRIDGE = re.compile(r"br-(\d+-\d+)")


@dataclass(frozen=True)
class Port:
    """A port, as wanted or as it is. Two that are equal need no work."""

    name: str
    #: What cannot be changed without making the device anew.
    what: str
    #: ``None``: not Corral's to say.
    mtu: int | None
    up: bool = True
    #: The bridge that it is a port of.
    master: str | None = None

    def text(self, bridge: str) -> str:
        """Say it for people."""
        words = [self.name, self.what]
        words += [f"mtu {self.mtu}"] if self.mtu is not None else []
        words += [] if self.up else ["down"]
        if self.master != bridge:
            words.append(f"in {self.master}" if self.master else "not plugged in")
        return " ".join(words)


def wanted_ports(network: Network, bridge: str, spec: dict[str, Any]) -> dict[str, Port]:
    """Return the ports of the spec, and the VM's own device when it is there."""
    ports = {
        one["name"]: Port(one["name"], _what(one), one.get("mtu"), master=bridge)
        for one in spec.get("ports", [])
    }
    guest = guest_device(network, bridge)
    if guest is not None:
        ports[guest.name] = Port(guest.name, "of the VM", spec["mtu"], master=bridge)
    return ports


def guest_device(network: Network, bridge: str) -> Link | None:
    """Return the device that libvirt plugged into a VM's bridge: it outlives the bridge."""
    own = VM_BRIDGE.fullmatch(bridge)
    link = network.links.get(own.group(1)) if own else None
    return link if link is not None and not link.ours else None


def actual_ports(network: Network, bridge: str, wanted: dict[str, Port]) -> dict[str, Port]:
    """Return those of the wanted ports that exist, and what else of ours is in the bridge."""
    ports = {}
    for name, port in wanted.items():
        link = network.links.get(name)
        if link is not None:
            ports[name] = _port(link, port)
    for link in network.ports(bridge):
        if link.ours and link.name not in wanted:
            ports[link.name] = _port(link, None)
    return ports


def foreign(network: Network, spec: dict[str, Any]) -> Iterator[str]:
    """Yield the names of wanted devices that exist and that Corral did not make."""
    for one in spec.get("ports", []):
        link = network.links.get(one["name"])
        if one["kind"] != "interface" and link is not None and not link.ours:
            yield one["name"]


def _port(link: Link, wanted: Port | None) -> Port:
    """Return a device in the terms of what is wanted of it."""
    made = link.ours or wanted is None
    what = _made(link) if made else wanted.what
    if made and wanted is not None and wanted.what.startswith("vxlan") and " nolearning" in what:
        # Asked for only where the network says so; else it is the host's affair.
        what = what if " nolearning" in wanted.what else what.replace(" nolearning", "")
    mtu = None if wanted is not None and wanted.mtu is None else link.mtu
    return Port(link.name, what, mtu, link.up, link.master)


def _what(one: dict[str, Any]) -> str:
    kind = one["kind"]
    if kind == "veth":
        return f"veth peer {one['peer']}"
    if kind == "vlan":
        return f"vlan {one['tag']} on {one['parent']}"
    if kind == "vxlan":
        return _vxlan(one["id"], one.get("group"), one.get("local"), one["parent"], one["port"]) + (
            " nolearning" if one.get("learning") is False else ""
        )
    return "interface"


def _made(link: Link) -> str:
    data = link.data
    if link.kind == "veth":
        return f"veth peer {link.below}"
    if link.kind == "vlan":
        return f"vlan {data.get('id')} on {link.below}"
    if link.kind == "vxlan":
        group = data.get("group", data.get("group6"))
        local = data.get("local", data.get("local6"))
        text = _vxlan(data.get("id"), group, local, link.below, data.get("port"))
        return text + ("" if data.get("learning", True) else " nolearning")
    return link.kind or "interface"


def _vxlan(number: Any, group: str | None, local: str | None, parent: str | None, port: Any) -> str:  # noqa: ANN401
    to = f" group {ipaddress.ip_address(group)}" if group else ""
    by = f" local {ipaddress.ip_address(local)}" if local else ""
    return f"vxlan {number}{to}{by} on {parent} port {port}"


def port_lines(
    network: Network, bridge: str, one: dict[str, Any], now: Port | None
) -> Iterator[str]:
    """Yield the ``ip`` commands that plug in one port of the spec. ``now`` is what is there."""
    name, kind = one["name"], one["kind"]
    if now is not None and now.what != _what(one):
        yield f"link delete dev {name}"
        now = None
    if kind in ("vlan", "vxlan"):
        yield from _below(network, one)
    if now is None:
        yield _add(bridge, one)
        if kind == "veth" and has_ipv6():
            # An address of its own is of no use to a port: nothing of the host listens there.
            yield from (f"link set dev {end} addrgenmode none" for end in (name, one["peer"]))
    elif now.master != bridge:
        yield f"link set dev {name} master {bridge}"
    if now is not None and one.get("mtu") not in (None, now.mtu):
        yield f"link set dev {name} mtu {one['mtu']}"
    if kind == "veth":
        # The far end is in the other bridge already, or will be; a cable works with both ends up.
        yield f"link set dev {one['peer']} up"
    yield f"link set dev {name} up"


def _add(bridge: str, one: dict[str, Any]) -> str:
    name, kind, mtu = one["name"], one["kind"], one["mtu"]
    marked = f"group {GROUP} mtu {mtu}"
    start = f"link add name {name} {marked} master {bridge}"
    if kind == "veth":
        return f"{start} type veth peer name {one['peer']} {marked}"
    if kind == "vlan":
        return f"{start} link {one['parent']} type vlan id {one['tag']}"
    words = [start, "type vxlan id", str(one["id"]), "dev", one["parent"]]
    words += ["dstport", str(one["port"])]
    words += ["local", one["local"]] if one.get("local") else []
    words += ["group", one["group"]] if one.get("group") else []
    words += ["nolearning"] if one.get("learning") is False else []
    return " ".join(words)


def _below(network: Network, one: dict[str, Any]) -> Iterator[str]:
    """Check the device below, or make it when it is a bridge of ours whose turn comes later."""
    parent, name, mtu = one["parent"], one["name"], one["mtu"]
    link = network.links.get(parent)
    need = mtu
    if one["kind"] == "vxlan":
        over6 = any(":" in (one.get(key) or "") for key in ("group", "local"))
        need += VXLAN_OVERHEAD + (20 if over6 else 0)
    if link is None:
        if VM_BRIDGE.fullmatch(parent) is None:
            raise missing_device(parent, name)
        yield f"link add name {parent} group {GROUP} mtu {need} type bridge"
        yield f"link set dev {parent} up"
    elif link.ours:
        if link.mtu < need:
            yield f"link set dev {parent} mtu {need}"
        if not link.up:
            yield f"link set dev {parent} up"
    elif not link.up:
        raise HostError(
            "device_down",
            f"{parent} is switched off, so {name} on it carries nothing: switch it on where this"
            f" host's interfaces are configured, or now with: ip link set {parent} up",
        )
    elif link.mtu < need:
        raise HostError(
            "mtu_too_small",
            f"{parent} has MTU {link.mtu}, and {name} on it needs {need}: raise it where this"
            " host's interfaces are configured, or lower the network's MTU",
        )


def missing_device(device: str, port: str) -> HostError:
    """Return the error for a device of the host that is not there."""
    of = "" if device == port else f", which {port} is made on"
    return HostError(
        "device_missing",
        f"this host has no network interface {device}{of}: correct the node's interfaces",
    )
