"""What the kernel does with packets that come in by a bridge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from corral_host.errors import HostError

if TYPE_CHECKING:
    from corral_host.kinds.network_links import Network

BASE = Path("/proc/sys/net")


def has_ipv6() -> bool:
    """Return whether the kernel speaks IPv6 at all."""
    return (BASE / "ipv6").exists()


def wanted_settings(name: str, spec: dict[str, Any]) -> dict[str, str]:
    """Return settings by their path below ``/proc/sys/net``.

    - A bridge that only passes frames: the host has no part in it. It routes nothing that comes in
      there, answers no ARP request (it would answer for every address that it has) and speaks no
      IPv6.
    - A routed one: the host is the VM's gateway. It forwards, answers ARP for whatever it has a
      route to (the VM takes its subnet for one wire) and without the delay of a second that is the
      default, takes packets from addresses only that it has routed there, and no router
      advertisement of a VM.
    - A bridge that has taken over a host's interface: all as the host has it.
    """
    routed = spec.get("routed", False)
    addresses = [one["address"] for one in spec.get("addresses", [])]
    if not routed and (addresses or any(p["kind"] == "interface" for p in spec.get("ports", []))):
        return {}
    texts = [*addresses, *spec.get("routes", [])] if routed else []
    four, six = any(":" not in one for one in texts), any(":" in one for one in texts)
    v4, v6 = f"ipv4/conf/{name}", f"ipv6/conf/{name}"
    wanted = {f"{v4}/forwarding": "0", f"{v4}/arp_ignore": "8", f"{v6}/disable_ipv6": "1"}
    if four:
        wanted |= {
            "ipv4/ip_forward": "1",
            f"{v4}/forwarding": "1",
            f"{v4}/arp_ignore": "0",
            f"{v4}/proxy_arp": "1",
            f"{v4}/rp_filter": "1",
            f"ipv4/neigh/{name}/proxy_delay": "0",
        }
    if six:
        wanted |= {
            f"{v6}/disable_ipv6": "0",
            f"{v6}/accept_ra": "0",
            "ipv6/conf/all/forwarding": "1",
            f"{v6}/forwarding": "1",
        }
    elif not has_ipv6():
        del wanted[f"{v6}/disable_ipv6"]
    return wanted


def different(wanted: dict[str, str]) -> dict[str, str]:
    """Return the settings that are not as wanted, with what they are; empty where there is none."""
    current = {path: _read(path) for path in wanted}
    return {path: value for path, value in current.items() if value != wanted[path]}


def text(settings: dict[str, str], name: str) -> str:
    """Say them for people: ``ipv4/conf/proxy_arp=0``."""
    return ", ".join(
        f"{path.replace(f'/{name}/', '/')}={value}" for path, value in settings.items()
    )


def change(network: Network, wanted: dict[str, str]) -> None:
    """Write what differs.

    Switching forwarding on for the host switches it on for every device. A host that has its own
    default route from router advertisements would lose it, and bridges that only pass frames would
    route: both are kept as they are.
    """
    needed = different(wanted)
    if "ipv6/conf/all/forwarding" in needed:
        for device in network.router_adverts():
            if _read(f"ipv6/conf/{device}/accept_ra") == "1":
                _write(f"ipv6/conf/{device}/accept_ra", "2")
    closed: list[str] = []
    if "ipv4/ip_forward" in needed:
        ours = [f"ipv4/conf/{one.name}/forwarding" for one in network.links.values() if one.ours]
        closed = [path for path in ours if _read(path) == "0"]
    # The host's own first: it overwrites the bridge's.
    for path in sorted(needed, key=lambda one: "/all/" not in one and one != "ipv4/ip_forward"):
        _write(path, wanted[path])
    for path in closed:
        if wanted.get(path) != "1":
            _write(path, "0")


def _read(path: str) -> str:
    try:
        return (BASE / path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _write(path: str, value: str) -> None:
    try:
        (BASE / path).write_text(value, encoding="ascii")
    except OSError as error:
        raise HostError(
            "setting_failed", f"{BASE / path} cannot be set to {value}: {error.strerror}"
        ) from error
