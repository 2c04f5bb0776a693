"""What specs say of clusters and monitors, checked."""

from __future__ import annotations

import base64
import binascii
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from corral_host.errors import BadSpec, HostError

if TYPE_CHECKING:
    from corral_host.kinds.base import Spec

#: Ports of Ceph's protocols.
V1_PORT, V2_PORT = 6789, 3300

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_ENTITY = re.compile(r"mon\.|(client|mgr|osd|mds)\.[A-Za-z0-9._-]+")

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Peer:
    """One monitor of a cluster as the document has it."""

    name: str
    host: str
    address: str | None
    port: int
    #: The one monitor that may begin a new cluster; the others wait for it.
    founder: bool

    def addresses(self) -> str:
        """Return Ceph's address vector, e.g. ``[v2:192.0.2.1:3300,v1:192.0.2.1:6789]``.

        Raises ``HostError`` when there is no address and the name has none either.
        """
        return f"[v2:{self._ip()}:{V2_PORT},{self._v1()}]"

    def v1(self) -> str:
        """Return the address of the first protocol alone: only that answers without a quorum."""
        return f"[{self._v1()}]"

    def _v1(self) -> str:
        # The port of the second protocol is taken by that.
        return f"v1:{self._ip()}:{V1_PORT if self.port == V2_PORT else self.port}"

    def _ip(self) -> str:
        address = self.address or _resolve(self.host)
        return f"[{address}]" if isinstance(ip_address(address), IPv6Address) else address

    def answers(self, timeout: float = 1) -> bool:
        """Tell whether something listens where the monitor should be."""
        with suppress(OSError):
            socket.create_connection((self.address or self.host, V2_PORT), timeout).close()
            return True
        return False


def _resolve(host: str) -> str:
    try:
        return socket.getaddrinfo(host, V2_PORT, type=socket.SOCK_STREAM)[0][4][0]
    except OSError as error:
        raise HostError("no_address", f"the monitor {host} has no address: {error}") from error


def cluster_name(spec: Spec) -> str:
    """Return the cluster's name: ``cluster`` is a name, or a mapping with ``name``."""
    cluster = spec.get("cluster") or "ceph"
    name = cluster.get("name", "ceph") if isinstance(cluster, dict) else cluster
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadSpec(f"cluster must be a name, not {name!r}")
    return name


def cluster_fsid(spec: Spec) -> str:
    """Return ``cluster.fsid``. Raises ``BadSpec`` when it is not a uuid in small letters."""
    cluster = spec.get("cluster")
    fsid = cluster.get("fsid") if isinstance(cluster, dict) else None
    return checked_uuid(fsid, "cluster.fsid")


def checked_uuid(value: Any, where: str) -> str:  # noqa: ANN401
    """Return a uuid in small letters, or raise ``BadSpec``."""
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise BadSpec(f"{where} must be a uuid in small letters, not {value!r}")
    return value


def checked_name(value: Any, where: str) -> str:  # noqa: ANN401
    """Return a name that is safe in paths and in names of units, or raise ``BadSpec``."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise BadSpec(f"{where} must be a name of letters, digits, . _ and -, not {value!r}")
    return value


def split_name(name: str, what: str) -> tuple[str, str]:
    """Take ``<cluster>/<rest>`` apart. Raises ``BadSpec``."""
    cluster, slash, rest = name.partition("/")
    if not slash or not rest:
        raise BadSpec(f"{what} {name!r} must be named <cluster>/<name>")
    return checked_name(cluster, f"the cluster of {what} {name}"), rest


def split_entity(name: str, what: str) -> tuple[str, str]:
    """Take ``<cluster>/<entity>`` apart. Raises ``BadSpec``."""
    cluster, entity = split_name(name, what)
    if not _ENTITY.fullmatch(entity):
        raise BadSpec(f"{what} {name!r} must name an entity such as client.libvirt")
    return cluster, entity


def checked_secret(value: Any, where: str) -> str:  # noqa: ANN401
    """Return a Ceph key in base64, or raise ``BadSpec`` that does not show it."""
    with suppress(binascii.Error, ValueError, TypeError):
        # Type, time and length, and then 16 bytes of AES.
        raw = base64.b64decode(value, validate=True)
        if len(raw) == 28 and raw[:2] == b"\1\0":  # noqa: PLR2004
            return value
    raise BadSpec(f"{where} is not a key as ceph-authtool makes them")


def peers_of(spec: Spec) -> list[Peer]:
    """Return the monitors of ``peers``, without those that are to go. Raises ``BadSpec``."""
    peers = spec.get("peers")
    if not isinstance(peers, dict):
        raise BadSpec("peers must be a mapping of monitors by name")
    found = []
    for name, peer in sorted(peers.items()):
        if not isinstance(peer, dict):
            raise BadSpec(f"peers.{name} must be a mapping")
        if peer.get("ensure") == "absent":
            continue
        host, address = peer.get("host") or name, peer.get("address")
        port = peer.get("port", V1_PORT)
        if type(port) is not int or not 0 < port < 1 << 16:
            raise BadSpec(f"peers.{name}.port must be 1 to 65535, not {port!r}")
        try:
            address = None if address is None else str(ip_address(address))
        except ValueError as error:
            raise BadSpec(f"peers.{name}.address: {error}") from error
        checked_name(host, f"peers.{name}.host")
        founder = peer.get("founder") is True
        found.append(Peer(checked_name(name, "peers"), host, address, port, founder))
    if not found:
        raise BadSpec("peers names no monitor")
    return found


def founder_of(peers: list[Peer]) -> Peer:
    """Return the monitor that begins the cluster: the first by name when none is marked."""
    return next((peer for peer in peers if peer.founder), peers[0])
