"""Bridges: what Corral plugs VMs into, and the ways out of the host.

Everything that Corral makes is in one device group (see ``network_links``): what is not, is
somebody else's and stays as it is. Nothing is written to the host's own network configuration:
bridges are made at each run, and so after each boot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from corral_host.kinds import network_sysctl as sysctl
from corral_host.kinds.base import Comparison, Difference, Found, Kind, Spec
from corral_host.kinds.network_apply import make, remove
from corral_host.kinds.network_links import LINK_SCOPE, Link, Network
from corral_host.kinds.network_move import Move
from corral_host.kinds.network_ports import actual_ports, foreign, missing_device, wanted_ports
from corral_host.kinds.network_spec import check_bridge
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
    from corral_host.session import Session


class Bridge(Kind):
    """A bridge and what Corral plugs into it."""

    name: ClassVar[str] = "bridge"
    properties: ClassVar[dict[str, str]] = {
        "mtu": "largest packet, in bytes",
        "state": "up, with its MAC address, without spanning tree, delay and multicast snooping",
        "addresses": "addresses of the host on the bridge",
        "routes": "what is reached through the bridge",
        "forwarding": "kernel settings: whether the host routes and answers for others",
        "ports": "devices in the bridge, with their MTU, tag, id and parent",
        "vlan_filtering": "whether frames with a tag are kept out",
    }

    def __init__(self, session: Session) -> None:
        """List nothing yet."""
        super().__init__(session)
        self.network = Network(session)

    def forget(self) -> None:
        """Drop the listing."""
        self.network.forget()

    def found(self) -> dict[str, Found]:
        """Return all bridges of the host."""
        return {
            one.name: Found(
                managed=one.ours,
                state="up" if one.up else "down",
                properties={
                    "mtu": str(one.mtu),
                    "addresses": _text(a.cidr for a in one.addresses),
                    "ports": _text(port.name for port in self.network.ports(one.name)),
                },
                detail={"mac": one.mac},
            )
            for one in self.network.links.values()
            if one.kind == "bridge"
        }

    def check(self, name: str, spec: Spec) -> None:
        """Raise ``BadSpec`` for what ``ip`` must not see."""
        check_bridge(name, spec)

    def compare(self, name: str, spec: Spec) -> Comparison:
        """Compare a bridge, its ports, addresses, routes and kernel settings."""
        link = self.network.links.get(name)
        wanted = spec["ensure"] == "present"
        comparison = Comparison(link is not None, wanted)
        if link is not None and not (link.ours and link.kind == "bridge"):
            reason = (
                f"this host has a device {name} that Corral did not make, and leaves alone:"
                f" rename it, or remove it with: ip link delete {name}"
            )
            ensure = "present" if wanted else "absent"
            comparison.refused.append(Difference("ensure", "made by others", ensure, reason))
            return comparison
        if not wanted:
            self._in_use(name, comparison)
            return comparison
        self._refusals(name, spec, comparison)
        if link is not None:
            differences = comparison.differences
            for one, current, want in self._properties(name, spec, link):
                if current != want:
                    differences.append(Difference(one, current or None, want or None))
            self._filtering(link, spec, comparison)
        return comparison

    def _properties(self, name: str, spec: Spec, link: Link) -> list[tuple[str, str, str]]:
        wanted = wanted_ports(self.network, name, spec)
        actual = actual_ports(self.network, name, wanted)
        # Only what differs: a network's bridge has a port for each of its VMs.
        ports = sorted({*wanted, *actual})
        ports = [one for one in ports if wanted.get(one) != actual.get(one)]
        settings = sysctl.wanted_settings(name, spec)
        differing = sysctl.different(settings)
        state = _state(link)
        mac = mac_of(self.network, name, spec)
        return [
            ("mtu", str(link.mtu), str(spec["mtu"])),
            ("state", state if link.mac == mac else f"{state}, address {link.mac}", "up"),
            ("addresses", *self._addresses(name, spec, link)),
            ("routes", *self._routes(name, spec)),
            (
                "forwarding",
                sysctl.text(differing, name),
                sysctl.text({key: settings[key] for key in differing}, name),
            ),
            (
                "ports",
                "; ".join(actual[one].text(name) for one in ports if one in actual),
                "; ".join(wanted[one].text(name) for one in ports if one in wanted),
            ),
        ]

    def _addresses(self, name: str, spec: Spec, link: Link) -> tuple[str, str]:
        wanted = wanted_addresses(spec)
        current = {one.cidr for one in link.addresses if one.scope not in LINK_SCOPE}
        # The kernel gives itself others of this scope.
        current |= wanted & {one.cidr for one in link.addresses}
        if spec.get("kind") != "vm":
            # The host's own addresses may be more than the document knows.
            current &= wanted
        nic = interface_of(spec)
        if nic is not None:
            left = {one.cidr for one in Move(self.network, name).unfinished()}
            below = self.network.links.get(nic)
            there = below.addresses if below is not None else ()
            left |= {one.cidr for one in there if one.scope not in LINK_SCOPE}
            wanted |= left
            current -= left
        return _text(current), _text(wanted)

    def _routes(self, name: str, spec: Spec) -> tuple[str, str]:
        return _text(self.network.routes(name)), _text(wanted_routes(self.network, name, spec))

    def _refusals(self, name: str, spec: Spec, comparison: Comparison) -> None:
        refused = comparison.refused
        for one in foreign(self.network, spec):
            reason = (
                f"the device {one} was not made by Corral: rename it, or remove it with:"
                f" ip link delete {one}"
            )
            refused.append(Difference("ports", f"{one} made by others", one, reason))
        for one in spec.get("unsupported", []):
            wanted = f"member of the network {one['network']}"
            refused.append(Difference("ports", None, wanted, one["reason"]))
        nic = interface_of(spec)
        if nic is None:
            return
        below = self.network.links.get(nic)
        if below is None:
            raise missing_device(nic, nic)
        if below.master not in (None, name):
            reason = (
                f"{nic} is a part of {below.master} already: take it out with:"
                f" ip link set {nic} nomaster"
            )
            refused.append(Difference("ports", f"{nic} in {below.master}", nic, reason))
        if below.mtu < spec["mtu"]:
            reason = (
                f"{nic} has MTU {below.mtu}: raise it where this host's interfaces are configured,"
                " or lower the network's MTU"
            )
            refused.append(Difference("mtu", str(below.mtu), str(spec["mtu"]), reason))

    def _filtering(self, link: Link, spec: Spec, comparison: Comparison) -> None:
        """Compare whether the bridge and its ports keep frames with a tag out."""
        wanted = bool(spec.get("vlan_filtering"))
        current = bool(link.data.get("vlan_filtering"))
        if wanted and not can_filter(link):
            reason = (
                "this kernel is built without VLAN filtering (CONFIG_BRIDGE_VLAN_FILTERING), which"
                " those of the distributions have"
            )
            one = Difference("vlan_filtering", "off", "on", reason)
            (comparison.refused if wants_tags_out(spec) else comparison.pending).append(one)
            return
        text = "on" if current else "off"
        if wanted and current:
            for port in self.network.ports(link.name):
                if self.network.vlans(port.name) != UNTAGGED:
                    tags = sorted(tag for tag, _flags in self.network.vlans(port.name))
                    text += f", {port.name} takes {','.join(map(str, tags)) or 'nothing'}"
        want = "on" if wanted else "off"
        if text != want:
            comparison.differences.append(Difference("vlan_filtering", text, want))

    def _in_use(self, name: str, comparison: Comparison) -> None:
        guests = [p.name for p in self.network.ports(name) if not p.ours and p.kind == "tun"]
        if guests:
            reason = f"a running VM is plugged in by {_text(guests)}: stop or detach it first"
            comparison.refused.append(Difference("ensure", "present", "absent", reason))

    def apply(self, name: str, spec: Spec, comparison: Comparison) -> None:
        """Make, correct or remove the bridge."""
        if any(one.property == "ensure" for one in comparison.refused):
            return
        if not comparison.wanted:
            remove(self.network, name)
            return
        try:
            make(self.network, name, spec)
        finally:
            self.network.forget()


def _state(link: Link) -> str:
    data = link.data
    return ", ".join(
        [
            "up" if link.up else "down",
            *(["spanning tree"] if data.get("stp_state") else []),
            *(["forward delay"] if data.get("forward_delay") else []),
            *(["multicast snooping"] if data.get("mcast_snooping") else []),
        ]
    )


def _text(names: Any) -> str:  # noqa: ANN401 - any texts
    return ", ".join(sorted(names))
