"""Making and removing a bridge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corral_host.errors import HostError
from corral_host.kinds import network_sysctl as sysctl
from corral_host.kinds.network_links import GROUP, LINK_SCOPE, PROTO
from corral_host.kinds.network_move import Move
from corral_host.kinds.network_ports import actual_ports, foreign, port_lines, wanted_ports
from corral_host.kinds.network_wanted import (
    UNTAGGED,
    can_filter,
    interface_of,
    mac_of,
    wanted_addresses,
    wanted_routes,
    wants_tags_out,
)

if TYPE_CHECKING:
    from corral_host.kinds.network_links import Network

MAX_MTU = 65535


def make(network: Network, name: str, spec: dict[str, Any]) -> None:
    """Make a bridge as its spec says, or correct it.

    Each step is done only where something is missing, so the next run finishes what was cut off.
    Ports that cannot be made do not keep the others from being made: their errors come at the end.
    """
    mtu = spec["mtu"]
    if name not in network.links:
        # The kernel follows the smallest port unless somebody *changed* the bridge's MTU once.
        other = mtu + 1 if mtu < MAX_MTU else mtu - 1
        mac = mac_of(network, name, spec)
        network.batch([f"link add name {name} address {mac} group {GROUP} mtu {other} type bridge"])
    settings = sysctl.wanted_settings(name, spec)
    _switches(network, name, spec, closed=bool(settings))
    sysctl.change(network, settings)
    errors = _ports(network, name, spec)
    _addresses(network, name, spec)
    if interface_of(spec) is not None:
        _take_over(network, name, interface_of(spec) or "")
    _routes(network, name, spec)
    if network.links[name].mtu != mtu:
        network.batch([f"link set dev {name} mtu {mtu}"])
    _keep_tags_out(network, name, spec)
    if errors:
        raise HostError(errors[0].code, "; ".join(one.message for one in errors))


def remove(network: Network, name: str) -> None:
    """Remove a bridge and our ports. The host's interface gets back what it gave."""
    move = Move(network, name)
    nic = move.interface()
    if nic is not None and nic in network.links:
        move.give_back(nic)
    for port in network.ports(name):
        # With one end of a cable the other is gone.
        if port.ours and port.name in network.links:
            network.batch([f"link delete dev {port.name}"])
    network.batch([f"link delete dev {name}"])


def _switches(network: Network, name: str, spec: dict[str, Any], *, closed: bool) -> None:
    link = network.links[name]
    mac = mac_of(network, name, spec)
    lines = [
        # No delay is only allowed once there is no spanning tree.
        f"link set dev {name} type bridge stp_state 0",
        f"link set dev {name} type bridge forward_delay 0 mcast_snooping 0",
        *([f"link set dev {name} address {mac}"] if link.mac != mac else []),
        # Routed bridges have the link-local address of the document, others none.
        *([f"link set dev {name} addrgenmode none"] if closed and sysctl.has_ipv6() else []),
        *([f"link set dev {name} mtu {spec['mtu']}"] if link.mtu != spec["mtu"] else []),
    ]
    if can_filter(link):
        on = int(bool(spec.get("vlan_filtering")))
        lines.append(f"link set dev {name} type bridge vlan_filtering {on}")
    elif wants_tags_out(spec):
        raise HostError(
            "no_vlan_filtering",
            f"{name} is not plugged into the wire: this kernel is built without VLAN filtering"
            " (CONFIG_BRIDGE_VLAN_FILTERING), and VMs could send into other networks",
        )
    network.batch(lines)


def _ports(network: Network, name: str, spec: dict[str, Any]) -> list[HostError]:
    wanted = wanted_ports(network, name, spec)
    actual = actual_ports(network, name, wanted)
    asked = {one["name"]: one for one in spec.get("ports", [])}
    skip = set(foreign(network, spec))
    network.batch(
        [f"link delete dev {one}" for one in actual if one not in wanted]
        + [f"link set dev {name} up"]
    )
    errors = []
    for port in wanted:
        now = actual.get(port)
        if now == wanted[port] or port in skip:
            continue
        try:
            if port not in asked:
                lines = [f"link set dev {port} {rest}" for rest in (f"master {name}", "up")]
                network.batch([*lines, f"link set dev {port} mtu {spec['mtu']}"])
            elif asked[port]["kind"] != "interface":
                network.batch(list(port_lines(network, name, asked[port], now)))
        except HostError as error:
            errors.append(error)
    return errors


def _addresses(network: Network, name: str, spec: dict[str, Any]) -> None:
    link = network.links[name]
    wanted = wanted_addresses(spec)
    there = {one.cidr for one in link.addresses}
    lines = []
    if interface_of(spec) is None or not Move(network, name).needed(interface_of(spec) or ""):
        # There is nobody to ask whether an address is free: it is this bridge's everywhere.
        lines += [
            f"address add {one} {'nodad ' if ':' in one else ''}dev {name}"
            for one in sorted(wanted - there)
        ]
    if spec.get("kind") == "vm":
        lines += [
            f"address delete {one.cidr} dev {name}"
            for one in link.addresses
            if one.cidr not in wanted and one.scope not in LINK_SCOPE
        ]
    network.batch(lines)


def _take_over(network: Network, name: str, nic: str) -> None:
    link = network.links.get(nic)
    if link is None or link.master not in (None, name):
        return
    move = Move(network, name)
    if link.master is None or not link.up or move.needed(nic):
        move.take_over(nic)


def _routes(network: Network, name: str, spec: dict[str, Any]) -> None:
    wanted = wanted_routes(network, name, spec)
    there = network.routes(name)
    network.batch(
        [f"route delete {one} dev {name} proto {PROTO}" for one in sorted(there - set(wanted))]
        + [
            f"route replace {one} {wanted[one]} dev {name} proto {PROTO}"
            for one in sorted(set(wanted) - there)
        ]
    )


def _keep_tags_out(network: Network, name: str, spec: dict[str, Any]) -> None:
    if not spec.get("vlan_filtering") or not can_filter(network.links[name]):
        return
    lines = []
    for port in network.ports(name):
        through = network.vlans(port.name)
        if through != UNTAGGED:
            lines += [f"vlan delete dev {port.name} vid {tag}" for tag, _flags in sorted(through)]
            lines.append(f"vlan add dev {port.name} vid 1 pvid untagged")
    network.batch(lines, "bridge")
