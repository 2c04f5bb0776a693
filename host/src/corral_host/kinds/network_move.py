"""Moving a host's addresses and routes from an interface to its bridge, and back.

The connection is what this is about: a host that loses its address is lost. So:

- The addresses are on both devices for the moment of the switch, routes are replaced in one step
  each, and all of it is one ``ip -batch``: it takes milliseconds.
- When a command fails, everything is put back.
- What is being moved is on disk first, with the interface. A run that was killed between leaves it
  there, and the next one finishes it. (If the power goes, the host boots with its own
  configuration, and the next run moves anew.) The interface's name stays as long as the bridge.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from corral_host.errors import HostError
from corral_host.kinds.network_links import GLOBAL_SCOPE, Address

if TYPE_CHECKING:
    from pathlib import Path

    from corral_host.kinds.network_links import Network


class Move:
    """The move of one bridge."""

    def __init__(self, network: Network, bridge: str) -> None:
        """Nothing is touched yet."""
        self.network = network
        self.bridge = bridge
        self.path: Path = network.session.settings.state_dir / "bridges" / f"{bridge}.json"

    def unfinished(self) -> list[Address]:
        """Return the addresses that an earlier run was moving when it was killed."""
        return self._saved()[0]

    def interface(self) -> str | None:
        """Return the interface that the bridge has taken over, if it has."""
        return self._saved()[2]

    def needed(self, interface: str) -> bool:
        """Return whether there is something to move away from an interface."""
        addresses, routes, _ = self._saved()
        return bool(addresses or routes or self._addresses(interface))

    def take_over(self, interface: str) -> None:
        """Make an interface a port of the bridge, which gets all that it has."""
        switch = [f"link set dev {interface} up", f"link set dev {interface} master {self.bridge}"]
        self._run(interface, self.bridge, switch)
        self._save([], [], interface)

    def give_back(self, interface: str) -> None:
        """Take the interface out of the bridge, with all that the bridge has."""
        self._run(self.bridge, interface, [f"link set dev {interface} nomaster"])
        self.path.unlink()

    def _run(self, source: str, target: str, switch: list[str]) -> None:
        """Move everything, with the commands ``switch`` between. Raises ``HostError``, undone."""
        addresses, routes, _ = self._saved()
        addresses += [one for one in self._addresses(source) if one not in addresses]
        routes += [one for one in self.network.routes_text(source) if one not in routes]
        routes.sort(key=lambda line: " via " in line)
        interface = source if target == self.bridge else target
        self._save(addresses, routes, interface)
        had = self._addresses(target)
        lines = [
            *(_replace(one, target) for one in addresses),
            *switch,
            *(f"route replace {_by(one, target)}" for one in routes),
            f"address flush dev {source} scope global",
        ]
        try:
            self.network.batch(lines)
        except HostError as error:
            new = [one.cidr for one in addresses if one not in had]
            self._undo(source, target, (addresses, routes), new)
            raise HostError(
                error.code, f"{source} keeps its addresses, for they cannot move: {error.message}"
            ) from error

    def _undo(
        self, source: str, target: str, moved: tuple[list[Address], list[str]], new: list[str]
    ) -> None:
        addresses, routes = moved
        nic, master = (source, "nomaster")
        if target != self.bridge:
            nic, master = (target, f"master {self.bridge}")
        lines = [
            *(_replace(one, source) for one in addresses),
            f"link set dev {nic} {master}",
            *(f"route replace {_by(one, source)}" for one in routes),
            *(f"address delete {one} dev {target}" for one in reversed(new)),
        ]
        # One by one: each that works is worth it.
        failed = False
        for line in lines:
            try:
                self.network.batch([line])
            except HostError:  # noqa: PERF203
                failed = failed or not line.startswith("address delete")
        if not failed:
            self._save([], [], nic)

    def _addresses(self, device: str) -> list[Address]:
        link = self.network.links.get(device)
        return [one for one in link.addresses if one.scope in GLOBAL_SCOPE] if link else []

    def _saved(self) -> tuple[list[Address], list[str], str | None]:
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return [], [], None
        except ValueError as error:
            raise HostError("bad_state", f"{self.path} is damaged: {error}") from error
        addresses = [
            Address(one["cidr"], one["scope"], tuple(one["options"])) for one in data["addresses"]
        ]
        return addresses, data["routes"], data["interface"]

    def _save(self, addresses: list[Address], routes: list[str], interface: str) -> None:
        listed = [asdict(one) for one in addresses]
        data = {"interface": interface, "addresses": listed, "routes": routes}
        temporary = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(data, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise HostError(
                "no_state",
                f"{self.path} cannot be written ({error.strerror}), and without it"
                f" the addresses of {self.bridge} are not moved",
            ) from error


def _replace(address: Address, device: str) -> str:
    return " ".join(["address replace", address.cidr, *address.options, "dev", device])


def _by(route: str, device: str) -> str:
    """Name the device in a route, after the destination and its gateway."""
    words = route.split()
    at = words.index("via") + 2 if "via" in words else 1
    # `via inet6 fe80::1` is one word longer.
    at += 1 if words[at - 1] == "inet6" else 0
    return " ".join([*words[:at], "dev", device, *words[at:]])
