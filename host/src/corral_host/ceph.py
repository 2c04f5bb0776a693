"""What the Ceph kinds share: names and addresses, files, and the connection to a cluster.

Clusters are asked through ``librados`` (python3-rados comes with ceph-common): a command takes a
millisecond where the program ``ceph`` takes half a second to start, and secrets never are on a
command line.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import pwd
import re
import socket
import struct
import time
from configparser import ConfigParser
from configparser import Error as ConfigError
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from corral_host.errors import BadSpec, HostError

if TYPE_CHECKING:
    from corral_host.kinds.base import Spec
    from corral_host.session import Session

#: Where Ceph's daemons keep their data; fixed by their packages.
LIB = Path("/var/lib/ceph")
#: Where their admin sockets are.
RUN = Path("/run/ceph")
#: First line of what Corral writes: only files that have it are removed.
MARK = "# Made by Corral; changes here are undone by the next run."
#: Ports of Ceph's protocols.
V1_PORT, V2_PORT = 6789, 3300
#: Seconds that a connection or a command may take before it counts as "no quorum".
TIMEOUT = 10
#: After that the next ones fail at once for so many seconds: a run has many keys.
SILENCE = 20

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

        A monitor on the port of the second protocol speaks only that. Raises ``HostError`` when
        there is no address and the name has none either.
        """
        address = self.address or _resolve(self.host)
        if isinstance(ip_address(address), IPv6Address):
            address = f"[{address}]"
        v1 = "" if self.port == V2_PORT else f",v1:{address}:{self.port}"
        return f"[v2:{address}:{V2_PORT}{v1}]"

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
    cluster = spec.get("cluster", "ceph")
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


def digest(secret: str | None) -> str | None:
    """Return how a secret is shown."""
    if secret is None:
        return None
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()[:12]


def read_text(path: Path) -> str | None:
    """Return a small file's text, or ``None`` when there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_file(path: Path, text: str, mode: int, owner: str = "ceph") -> None:
    """Write a file at once or not at all; its folder is made when missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.new")
    with suppress(FileNotFoundError):
        staged.unlink()
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchown(descriptor, *ids_of(owner))
        os.fchmod(descriptor, mode)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    staged.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make renames in a folder last."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def ids_of(owner: str) -> tuple[int, int]:
    """Return user and group of ``owner``, e.g. ceph or root:ceph."""
    user, _, group = owner.partition(":")
    try:
        entry = pwd.getpwnam(user)
        return entry.pw_uid, pwd.getpwnam(group).pw_gid if group else entry.pw_gid
    except KeyError as error:
        raise HostError("no_program", "there is no user ceph: install ceph-common") from error


def own_folder(path: Path) -> None:
    """Make a folder of Ceph's daemons, or make it theirs."""
    owner = ids_of("ceph")
    for missing in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
        missing.mkdir(mode=0o750, exist_ok=True)
        os.chown(missing, *owner)
    if path.stat().st_uid != owner[0]:
        os.chown(path, *owner)


def json_bytes(value: object) -> bytes:
    """Return data as the monitors take them."""
    return json.dumps(value).encode()


def set_aside(path: Path) -> None:
    """Rename a daemon's data: they are out of the way, and not lost."""
    if path.exists():
        path.rename(path.with_name(f"{path.name}.removed-{time.strftime('%Y%m%dT%H%M%S')}"))
        sync_folder(path.parent)


def parse_sections(text: str) -> dict[str, dict[str, str]]:
    """Read what Ceph calls an ini file, with names as Ceph compares them."""
    parser = ConfigParser(
        interpolation=None, strict=False, allow_no_value=True, delimiters=("=",), default_section=""
    )
    # A line that begins with white space continues nothing: keyrings are indented.
    lines = (re.split("[;#]", line)[0].strip() for line in text.splitlines())
    try:
        parser.read_string("\n".join(lines))
    except ConfigError:
        return {}
    return {
        section: {
            re.sub(r"[ -]+", "_", option): (value or "").strip()
            for option, value in parser[section].items()
        }
        for section in parser.sections()
    }


def keyring_path(session: Session, cluster: str, entity: str) -> Path:
    """Return where Ceph's own programs look for the key of an entity."""
    kind, _, name = entity.partition(".")
    if kind == "client" and name.startswith("bootstrap-"):
        return LIB / name / f"{cluster}.keyring"
    return session.settings.ceph_dir / f"{cluster}.{entity}.keyring"


def keyring_text(entity: str, secret: str, caps: dict[str, str] | None = None) -> str:
    """Return a keyring with one key; capabilities only matter to those who import it."""
    lines = [f"[{entity}]", f"\tkey = {secret}"]
    lines += [f'\tcaps {daemon} = "{may}"' for daemon, may in sorted((caps or {}).items())]
    return "\n".join(lines) + "\n"


def secret_in(path: Path, entity: str) -> str | None:
    """Return the key of an entity in a keyring, or ``None``."""
    return parse_sections(read_text(path) or "").get(entity, {}).get("key")


def config_path(session: Session, cluster: str) -> Path:
    """Return the cluster's configuration on this host."""
    return session.settings.ceph_dir / f"{cluster}.conf"


def clusters_here(session: Session) -> list[str]:
    """Return the clusters that this host has a configuration of."""
    return sorted(path.stem for path in session.settings.ceph_dir.glob("*.conf"))


def monitors_here(cluster: str) -> list[str]:
    """Return the names of the cluster's monitors that have data on this host."""
    prefix = f"{cluster}-"
    return sorted(
        path.name[len(prefix) :]
        for path in (LIB / "mon").glob(f"{prefix}*")
        if path.is_dir() and ".removed-" not in path.name
    )


def ask_daemon(cluster: str, daemon: str, command: str) -> Any:  # noqa: ANN401
    """Ask a daemon such as ``mon.a`` on its admin socket; ``None`` when it does not run.

    It answers without a quorum too.
    """
    request = json.dumps({"prefix": command, "format": "json"}).encode() + b"\0"
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(TIMEOUT)
        try:
            asked.connect(str(socket_path(cluster, daemon)))
            asked.sendall(request)
            stream = asked.makefile("rb")
            size = struct.unpack(">I", stream.read(4))[0]
            return json.loads(stream.read(size))
        except (OSError, struct.error, ValueError):
            return None


def socket_path(cluster: str, daemon: str) -> Path:
    """Return a daemon's admin socket."""
    return RUN / f"{cluster}-{daemon}.asok"


def wait_for(what: Callable[[], Any], seconds: float, every: float = 0.2) -> Any:  # noqa: ANN401
    """Return the first true answer, or the last one after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        answer = what()
        if answer or time.monotonic() > end:
            return answer
        time.sleep(every)


class Connection:
    """A cluster as one entity sees it."""

    def __init__(
        self, cluster: str, entity: str, secret: str, options: dict[str, str], timeout: float
    ) -> None:
        """Connect. Raises ``HostError`` ``no_quorum``, ``no_permission`` or ``no_program``."""
        try:
            import rados  # noqa: PLC0415 - a host without Ceph has none
        except ImportError as error:
            raise HostError("no_program", "python3-rados is not installed") from error
        self.cluster, self.entity, self.timeout = cluster, entity, timeout
        self.monitors = options.get("mon_host", "")
        self._silent_since = float("-inf")
        settings = {
            "key": secret,
            "keyring": "/dev/null",
            "client_mount_timeout": str(timeout),
            "rados_mon_op_timeout": str(timeout),
            "log_to_stderr": "false",
            "err_to_stderr": "false",
            "log_file": "/dev/null",
            **options,
        }
        self._rados = rados.Rados(name=entity, clustername=cluster, conf=settings)
        try:
            self._rados.connect(timeout=timeout)
        except (rados.PermissionError, rados.PermissionDeniedError) as error:
            raise HostError(
                "no_permission", f"the cluster {cluster} knows another key of {entity}: {error}"
            ) from error
        except rados.Error as error:
            raise self._no_quorum() from error

    def _no_quorum(self) -> HostError:
        return HostError(
            "no_quorum",
            f"no quorum of the monitors of {self.cluster} within {self.timeout:g} s: "
            f"{self.monitors}",
        )

    def bytes(self, prefix: str, *, input: bytes = b"", **arguments: Any) -> bytes:  # noqa: A002, ANN401
        """Give a command to the monitors and return its output. Raises ``HostError``."""
        if time.monotonic() - self._silent_since < SILENCE:
            raise self._no_quorum()
        command = json.dumps({"prefix": prefix, **arguments})
        try:
            status, output, words = self._rados.mon_command(command, input, timeout=self.timeout)
        except Exception as error:  # rados has a class of its own for each number
            raise HostError("ceph_failed", f"ceph {prefix}: {error}") from error
        if status == -110:  # noqa: PLR2004 - ETIMEDOUT
            self._silent_since = time.monotonic()
            raise self._no_quorum()
        if status != 0:
            reason = words or os.strerror(-status)
            code = "ceph_exists" if status == -17 else "ceph_failed"  # noqa: PLR2004 - EEXIST
            raise HostError(code, f"ceph {prefix}: {reason}")
        return output

    def ask(self, prefix: str, **arguments: Any) -> Any:  # noqa: ANN401
        """Give a command and return what it answers as data, or ``None``."""
        output = self.bytes(prefix, format="json", **arguments)
        return json.loads(output) if output.strip() else None

    def heard(self) -> None:
        """Ask again, although there was no answer a moment ago."""
        self._silent_since = float("-inf")

    def close(self) -> None:
        """Disconnect."""
        self._rados.shutdown()


class Clusters:
    """The connections of a session: one for each cluster and entity."""

    def __init__(self, session: Session) -> None:
        """Connect when first asked."""
        self.session = session
        self._open: dict[tuple[str, ...], Connection] = {}
        self._failed: dict[tuple[str, str], tuple[float, HostError]] = {}

    def connect(
        self,
        cluster: str,
        entity: str,
        secret: str,
        mon_host: str | None = None,
        timeout: float = TIMEOUT,
    ) -> Connection:
        """Return a connection. Without ``mon_host`` the monitors are those of the configuration.

        Raises ``HostError``, and again for some seconds after nobody answered.
        """
        options = {"mon_host": mon_host} if mon_host else self._options(cluster)
        if not options.get("mon_host"):
            raise HostError(
                "no_config", f"{config_path(self.session, cluster)} names no monitors (mon_host)"
            )
        key = (cluster, entity, secret, options["mon_host"])
        if key in self._open:
            return self._open[key]
        silent = (cluster, options["mon_host"])
        since, failure = self._failed.get(silent, (0.0, None))
        if failure is not None and time.monotonic() - since < SILENCE:
            raise failure
        try:
            self._open[key] = Connection(cluster, entity, secret, options, timeout)
        except HostError as error:
            if error.code == "no_quorum":
                self._failed[silent] = (time.monotonic(), error)
            raise
        return self._open[key]

    def _options(self, cluster: str) -> dict[str, str]:
        options = parse_sections(read_text(config_path(self.session, cluster)) or "")
        wanted = ("fsid", "mon_host", "ms_bind_ipv4", "ms_bind_ipv6")
        return {k: v for k, v in options.get("global", {}).items() if k in wanted}

    def admin(self, cluster: str) -> Connection:
        """Return a connection that may do everything: for nodes with a monitor.

        As client.admin, or as the monitors themselves when its key was changed in the cluster.
        """
        path = keyring_path(self.session, cluster, "client.admin")
        secret = secret_in(path, "client.admin")
        failure = HostError("no_key", f"{path} has no key of client.admin, and no monitor is here")
        if secret is not None:
            try:
                return self.connect(cluster, "client.admin", secret)
            except HostError as error:
                if error.code != "no_permission":
                    raise
                failure = error
        for name in monitors_here(cluster):
            secret = secret_in(LIB / "mon" / f"{cluster}-{name}" / "keyring", "mon.")
            if secret is not None:
                return self.connect(cluster, "mon.", secret)
        raise failure

    def may_administer(self, cluster: str) -> bool:
        """Tell whether there is a cluster yet that this host can ask as its administrator."""
        path = keyring_path(self.session, cluster, "client.admin")
        return bool(monitors_here(cluster)) or secret_in(path, "client.admin") is not None

    def heard(self) -> None:
        """Forget who did not answer: a monitor was started meanwhile."""
        self._failed.clear()
        for connection in self._open.values():
            connection.heard()

    def close(self) -> None:
        """Close all of them."""
        for connection in self._open.values():
            connection.close()
        self._open.clear()


def clusters_of(session: Session) -> Clusters:
    """Return the session's connections to clusters."""
    return session.shared("ceph", Clusters)
