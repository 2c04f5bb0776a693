"""The connections to clusters.

They are asked through ``librados`` (python3-rados comes with ceph-common): a command takes a
millisecond where the program ``ceph`` takes half a second to start, and secrets never are on a
command line.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from corral_host.ceph import files
from corral_host.errors import HostError

if TYPE_CHECKING:
    from corral_host.session import Session

#: Seconds that a connection or a command may take before it counts as "no quorum".
TIMEOUT = 10

#: After that the next ones fail at once for so many seconds: a run has many keys.
SILENCE = 20
#: Errors come as exceptions; librados would print them too.
_QUIET = {
    "keyring": "/dev/null",
    "log_to_stderr": "false",
    "err_to_stderr": "false",
    "log_file": "/dev/null",
}


def json_bytes(value: object) -> bytes:
    """Return data as the monitors take them."""
    return json.dumps(value).encode()


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
            "client_mount_timeout": str(timeout),
            "rados_mon_op_timeout": str(timeout),
            **_QUIET,
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
                "no_config",
                f"{files.config_path(self.session, cluster)} names no monitors (mon_host)",
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
        options = files.parse_sections(
            files.read_text(files.config_path(self.session, cluster)) or ""
        )
        wanted = ("fsid", "mon_host", "ms_bind_ipv4", "ms_bind_ipv6")
        return {k: v for k, v in options.get("global", {}).items() if k in wanted}

    def admin(self, cluster: str) -> Connection:
        """Return a connection that may do everything: for nodes with a monitor.

        As client.admin, or as the monitors themselves when its key was changed in the cluster.
        """
        path = files.keyring_path(self.session, cluster, "client.admin")
        secret = files.secret_in(path, "client.admin")
        failure = HostError("no_key", f"{path} has no key of client.admin, and no monitor is here")
        if secret is not None:
            try:
                return self.connect(cluster, "client.admin", secret)
            except HostError as error:
                if error.code != "no_permission":
                    raise
                failure = error
        for name in files.monitors_here(cluster):
            secret = files.secret_in(files.LIB / "mon" / f"{cluster}-{name}" / "keyring", "mon.")
            if secret is not None:
                return self.connect(cluster, "mon.", secret)
        raise failure

    def may_administer(self, cluster: str) -> bool:
        """Tell whether there is a cluster yet that this host can ask as its administrator."""
        path = files.keyring_path(self.session, cluster, "client.admin")
        return (
            bool(files.monitors_here(cluster)) or files.secret_in(path, "client.admin") is not None
        )

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


def ping(cluster: str, address: str) -> dict[str, Any] | None:
    """Return what a monitor says of itself (``mon_status``); it needs neither quorum nor key.

    ``address`` is of the first protocol: the second asks for a key first.
    """
    try:
        import rados  # noqa: PLC0415 - a host without Ceph has none
    except ImportError:
        return None
    settings = {**_QUIET, "mon_host": address}
    asked = rados.Rados(name="client.none", clustername=cluster, conf=settings)
    try:
        # Its name to those who know only its address.
        return json.loads(asked.ping_monitor("a"))
    except (rados.Error, ValueError, TypeError):
        return None
