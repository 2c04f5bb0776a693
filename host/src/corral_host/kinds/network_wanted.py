"""What a bridge's spec means on this host, where that depends on the host."""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corral_host.kinds.network_links import Link, Network

#: What a port of a filtering bridge lets through: frames without a tag.
UNTAGGED = {(1, "Egress Untagged,PVID")}


def interface_of(spec: dict[str, Any]) -> str | None:
    """Return the host's own interface that becomes a port, if one does."""
    ports = spec.get("ports", [])
    return next((one["name"] for one in ports if one["kind"] == "interface"), None)


def mac_of(network: Network, name: str, spec: dict[str, Any]) -> str:
    """Return the bridge's MAC address: the kernel's would change with the ports.

    A bridge that takes over an interface has that one's, which the network knows. Others have one
    made of the name: a routed VM that comes from another host finds its gateway where it was.
    """
    nic = network.links.get(interface_of(spec) or "")
    if nic is not None:
        return nic.mac
    digest = hashlib.sha256(name.encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (2, *digest[:5]))


def can_filter(link: Link) -> bool:
    """Return whether the kernel can filter VLANs: else it does not tell a bridge's default tag."""
    return "vlan_default_pvid" in link.data


def wants_tags_out(spec: dict[str, Any]) -> bool:
    """Return whether frames with a tag could get from this bridge to where they mean something.

    Without VLANs in the kernel nothing on this host reads tags, so a VXLAN and cables carry them
    within their own network only. The wire of an interface or a VLAN is read by others.
    """
    ports = spec.get("ports", [])
    return bool(spec.get("vlan_filtering")) and any(
        one["kind"] in ("vlan", "interface") for one in ports
    )


def wanted_addresses(spec: dict[str, Any]) -> set[str]:
    """Return the spec's addresses as ``ip`` writes them."""
    return {str(ipaddress.ip_interface(one["address"])) for one in spec.get("addresses", [])}


def wanted_routes(network: Network, name: str, spec: dict[str, Any]) -> dict[str, str]:
    """Return destinations with what follows ``dev``'s name, e.g. a gateway.

    A default route is made only where the host has none of that family: one that the host has, by
    this or another interface, is its own.
    """
    routes = {}
    for text in spec.get("routes", []):
        to = ipaddress.ip_interface(text)
        # What is link-local is reached by the bridge's own address of that kind.
        if not to.ip.is_link_local:
            routes[str(to.network)] = ""
    for one in spec.get("addresses", []):
        gateway = one.get("gateway")
        if gateway:
            version = ipaddress.ip_address(gateway).version
            to = "::/0" if version == 6 else "0.0.0.0/0"  # noqa: PLR2004
            if to in network.routes(name) or not network.default_gateway(version):
                routes[to] = f"via {gateway}"
    return routes
