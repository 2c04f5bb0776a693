"""The host's network devices, addresses and routes, as ``ip`` and ``bridge`` list them."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from corral_host.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from corral_host.session import Session

#: Device group of everything that Corral made: ``ip link show group 49310``. The kernel sets it in
#: the same call that makes the device, so there is never a device of ours without the mark.
GROUP = "49310"
#: Routing protocol of the routes that Corral made: ``ip route show proto 163``.
PROTO = "163"
#: Scope of addresses that hold on one link only.
LINK_SCOPE = ("link", "253")
GLOBAL_SCOPE = ("global", "0")


@dataclass(frozen=True)
class Address:
    """An address of a device."""

    cidr: str
    scope: str
    #: What ``ip address replace`` needs beside the address, to make the same one elsewhere.
    options: tuple[str, ...] = ()

    @property
    def version(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.cidr else 4


@dataclass(frozen=True)
class Link:
    """A network device."""

    name: str
    #: bridge, veth, vlan, vxlan, tun ...; empty for hardware.
    kind: str
    #: Whether Corral made it.
    ours: bool
    master: str | None
    mtu: int
    #: Whether it is switched on; not whether there is a cable in it.
    up: bool
    mac: str
    #: Of a VLAN or VXLAN device the one below, of a veth the other end.
    below: str | None
    data: dict[str, Any] = field(default_factory=dict)
    addresses: tuple[Address, ...] = ()


class Network:
    """One listing of everything, until ``forget()``."""

    def __init__(self, session: Session) -> None:
        """Ask nothing yet."""
        self.session = session
        self.forget()

    def forget(self) -> None:
        """Drop the listing."""
        self._links: dict[str, Link] | None = None
        self._routes: dict[str, set[str]] | None = None
        self._vlans: dict[str, set[tuple[int, str]]] | None = None

    @property
    def links(self) -> dict[str, Link]:
        """All devices by name."""
        if self._links is None:
            listed = self._json("ip", "-N", "-json", "-details", "address", "show")
            self._links = {one["ifname"]: _link(one) for one in listed if one.get("ifname")}
        return self._links

    def ports(self, bridge: str) -> list[Link]:
        """Return the devices that are ports of a bridge."""
        return [one for one in self.links.values() if one.master == bridge]

    def routes(self, device: str) -> set[str]:
        """Return the destinations of our routes through a device, in CIDR form."""
        if self._routes is None:
            self._routes = {}
            for family in ("-4", "-6"):
                shown = self._json("ip", family, "-N", "-json", "route", "show", "proto", PROTO)
                for one in shown:
                    if "dev" in one:
                        to = _destination(one["dst"], family)
                        self._routes.setdefault(one["dev"], set()).add(to)
        return self._routes.get(device, set())

    def vlans(self, device: str) -> set[tuple[int, str]]:
        """Return what a port lets through: pairs of tag and flags."""
        if self._vlans is None:
            self._vlans = {}
            for one in self._json("bridge", "-json", "vlan", "show"):
                through = {
                    (tag, ",".join(sorted(entry.get("flags", []))))
                    for entry in one.get("vlans", [])
                    for tag in range(entry["vlan"], entry.get("vlanEnd", entry["vlan"]) + 1)
                }
                self._vlans[one["ifname"]] = through
        return self._vlans.get(device, set())

    def default_gateway(self, version: int) -> bool:
        """Return whether the host has a default route of a family (4 or 6), whoever made it."""
        return bool(self._json("ip", f"-{version}", "-json", "route", "show", "default"))

    def router_adverts(self) -> set[str]:
        """Return the devices whose IPv6 default route came from a router's advertisement."""
        shown = self._json("ip", "-6", "-N", "-json", "route", "show", "default")
        return {one["dev"] for one in shown if one.get("protocol") in ("ra", "9") and "dev" in one}

    def routes_text(self, device: str) -> list[str]:
        """Return a device's routes as ``ip route replace`` takes them, without the device.

        Without those that the kernel makes of addresses. Those by a gateway come last.
        """
        lines = []
        for family in ("-4", "-6"):
            done = self.session.run(["ip", family, "-N", "route", "show", "dev", device])
            for line in done.stdout.decode().splitlines():
                words = line.split()
                if not words or _kernel(words):
                    continue
                if "nexthop" in words:
                    raise HostError(
                        "multipath_route",
                        f"{device} is part of a route by several ways ({words[0]}), which cannot be"
                        " moved to a bridge: remove it, or give the network another interface",
                    )
                lines.append(_portable(words, family))
        return sorted(lines, key=lambda line: " via " in line)

    def batch(self, lines: Iterable[str], program: str = "ip") -> None:
        """Run many commands in one process, up to the first that fails: ``HostError`` names it."""
        lines = list(lines)
        if not lines:
            return
        text = "".join(f"{line}\n" for line in lines)
        done = self.session.run([program, "-batch", "-"], input=text.encode(), check=False)
        self.forget()
        if done.returncode == 0:
            return
        words = done.stderr.decode(errors="replace")
        number = re.search(r"Command failed -:(\d+)", words)
        line = lines[int(number.group(1)) - 1] if number else lines[0]
        said = "; ".join(w for w in words.splitlines() if not w.startswith("Command failed"))
        raise HostError("network_failed", f"{program} {line}: {said.strip()}")

    def _json(self, *command: str) -> list[dict[str, Any]]:
        # Nothing to say is an empty text with some versions.
        return json.loads(self.session.run(command).stdout or b"[]")


def _kernel(words: list[str]) -> bool:
    return "proto" in words and words[words.index("proto") + 1] in ("2", "kernel")


def _portable(words: list[str], family: str) -> str:
    """Leave out what a listing says of a route's moment."""
    kept = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word == "expires":
            skip = True
        elif word not in ("linkdown", "dead", "offload", "trap"):
            kept.append(word)
    kept[0] = _destination(kept[0], family)
    return " ".join(kept)


def _destination(text: str, family: str) -> str:
    """Return a route's destination in CIDR form: ``ip`` leaves the length out where it is full."""
    if text == "default":
        return "::/0" if family == "-6" else "0.0.0.0/0"
    return str(ipaddress.ip_network(text, strict=False))


def _link(one: dict[str, Any]) -> Link:
    info = one.get("linkinfo") or {}
    data = info.get("info_data") or {}
    return Link(
        name=one["ifname"],
        kind=info.get("info_kind", ""),
        ours=str(one.get("group")) == GROUP,
        master=one.get("master"),
        mtu=one["mtu"],
        up="UP" in one.get("flags", []),
        mac=one.get("address", ""),
        below=data.get("link") or one.get("link"),
        data=data,
        addresses=tuple(_address(a) for a in one.get("addr_info", []) if "local" in a),
    )


def _address(one: dict[str, Any]) -> Address:
    options = []
    if one.get("address"):
        options += ["peer", f"{one['address']}/{one['prefixlen']}"]
    if one.get("broadcast"):
        options += ["brd", one["broadcast"]]
    if one["family"] == "inet6":
        # The address was checked for duplicates where it is now.
        options.append("nodad")
    options += [flag for flag in ("home", "mngtmpaddr", "noprefixroute") if one.get(flag)]
    if one.get("dynamic"):
        options += ["valid_lft", str(one["valid_life_time"])]
        options += ["preferred_lft", str(one["preferred_life_time"])]
    return Address(f"{one['local']}/{one['prefixlen']}", str(one.get("scope")), tuple(options))
