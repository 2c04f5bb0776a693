"""A monitor of this node, and the manager that belongs to it.

Spec, named as the node is in ``peers``::

    {"ensure": "present",
     "cluster": {"name", "fsid", ...},
     "peers": {<name>: {"ensure", "host", "address"?, "port", "founder"?}},
     "keys": {"mon.": {"secret"}, "client.admin": {"secret"}?}}

A monitor without data joins the quorum, or begins the cluster together with all its peers: see
``corral_host.ceph.founding``.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from corral_host.ceph import client, daemons, files, founding, specs
from corral_host.ceph.daemons import Daemon, Services
from corral_host.errors import BadSpec, HostError
from corral_host.kinds.base import Comparison, Difference, Found, Kind

if TYPE_CHECKING:
    from corral_host.kinds.base import Spec

#: Seconds in which monitors find each other when enough of them answer.
QUORUM_TIMEOUT = 30
_MGR = ["mon", "allow profile mgr", "osd", "allow *", "mds", "allow *"]


class CephMon(Kind):
    """A monitor with its manager."""

    name = "ceph_mon"
    properties: ClassVar[dict[str, str]] = {
        "state": "Whether the monitor runs, and starts at boot.",
        "monmap": "The addresses under which the cluster knows the monitor.",
        "mgr": "Whether the node's manager has its key, runs, and starts at boot.",
    }

    def found(self) -> dict[str, Found]:
        """Return the monitors that have data on this host."""
        return {
            name: self._found(cluster, name)
            for cluster in files.clusters_here(self.session)
            for name in files.monitors_here(cluster)
        }

    def _found(self, cluster: str, name: str) -> Found:
        status = daemons.ask_daemon(cluster, f"mon.{name}", "mon_status") or {}
        monmap = status.get("monmap", {})
        services = Services(self.session)
        properties = {
            "state": services.state(Daemon(cluster, "mon", name)),
            "monmap": _addresses_in(status, name) or "not in it",
            "mgr": self._manager(cluster, name),
        }
        quorum = [mon["name"] for mon in monmap.get("mons", []) if mon["rank"] in status["quorum"]]
        detail = {
            "cluster": cluster,
            "fsid": monmap.get("fsid"),
            "role": status.get("state"),
            "quorum": quorum,
        }
        # It is Corral's when the cluster's configuration here is.
        text = files.read_text(files.config_path(self.session, cluster)) or ""
        state = status.get("state") or properties["state"]
        return Found(text.startswith(files.MARK), state, properties, detail)

    def check(self, name: str, spec: Spec) -> None:
        """Raise ``BadSpec``."""
        specs.checked_name(name, "ceph_mon")
        specs.cluster_fsid(spec)
        founding.peer_named(name, spec)
        founding.secret_of(spec, "client.admin")
        if founding.secret_of(spec, "mon.") is None:
            raise BadSpec("keys has no mon.")

    def compare(self, name: str, spec: Spec) -> Comparison:
        """Compare what is here. It needs no quorum."""
        if spec["ensure"] == "absent":
            return self._compare_absent(name)
        cluster = specs.cluster_name(spec)
        present = name in files.monitors_here(cluster)
        comparison = Comparison(present, wanted=True)
        if not present:
            return comparison
        status = daemons.ask_daemon(cluster, f"mon.{name}", "mon_status")
        fsid, wanted = self._fsid(cluster, name, status), specs.cluster_fsid(spec)
        if fsid is not None and fsid != wanted:
            reason = (
                f"{founding.data_of(cluster, name)} belongs to another cluster: stop it and move "
                "its data away if they are not needed"
            )
            comparison.refused.append(
                Difference("monmap", f"fsid {fsid}", f"fsid {wanted}", reason)
            )
            return comparison
        state = Services(self.session).state(Daemon(cluster, "mon", name))
        if state != "running":
            comparison.differences.append(Difference("state", state, "running"))
        current = _addresses_in(status, name)
        addresses = founding.peer_named(name, spec).addresses()
        if current is not None and current != addresses:
            reason = (
                "a monitor cannot move to another address while it is in use: remove it from "
                "Corral, let the node converge, and add it again"
            )
            comparison.refused.append(Difference("monmap", current, addresses, reason))
        mgr = self._manager(cluster, name)
        if mgr != "running":
            comparison.differences.append(Difference("mgr", mgr, "running"))
        return comparison

    def _compare_absent(self, name: str) -> Comparison:
        here = [
            cluster
            for cluster in files.clusters_here(self.session)
            if name in files.monitors_here(cluster)
        ]
        comparison = Comparison(bool(here), wanted=False)
        for cluster in here:
            status = daemons.ask_daemon(cluster, f"mon.{name}", "mon_status") or {}
            names = [mon["name"] for mon in status.get("monmap", {}).get("mons", [])]
            if names == [name]:
                reason = "it is the last monitor: without it the cluster and its data are lost"
                comparison.refused.append(Difference("monmap", name, None, reason))
        return comparison

    def _manager(self, cluster: str, name: str) -> str:
        if files.secret_in(_mgr_keyring(cluster, name), f"mgr.{name}") is None:
            return "no key"
        return Services(self.session).state(Daemon(cluster, "mgr", name))

    def _fsid(self, cluster: str, name: str, status: Any) -> str | None:  # noqa: ANN401
        """Return the cluster that the data belong to; ``None`` when they do not say."""
        if status is not None:
            return status["monmap"]["fsid"]
        with tempfile.TemporaryDirectory() as folder:
            shutil.chown(folder, "ceph")
            file = Path(folder) / "monmap"
            command = ["ceph-mon", "--cluster", cluster, "--id", name]
            # As ceph: what root would write into the data the monitor could not read.
            command += ["--setuser", "ceph", "--setgroup", "ceph", "--extract-monmap", str(file)]
            self.session.run(command, check=False)
            if not file.exists():
                return None
            return founding.fsid_of(self.session, file)

    def apply(self, name: str, spec: Spec, comparison: Comparison) -> None:
        """Make the monitor, or start it; then its manager, which needs a quorum."""
        if not comparison.wanted:
            if not comparison.refused:
                self._remove(name)
            return
        cluster = specs.cluster_name(spec)
        services = Services(self.session)
        changed = {difference.property for difference in comparison.differences}
        if not comparison.present:
            founding.make_data(self.session, name, spec)
        if not comparison.present or "state" in changed:
            services.start(Daemon(cluster, "mon", name))
            self._await_quorum(name, spec)
        client.clusters_of(self.session).heard()
        if not comparison.present or "mgr" in changed:
            self._start_manager(name, spec)

    def _await_quorum(self, name: str, spec: Spec) -> None:
        """Wait for the others, as long as enough of them answer to be worth it."""
        cluster, peers = specs.cluster_name(spec), specs.peers_of(spec)
        few = time.monotonic() + 5

        def settled() -> bool:
            status = daemons.ask_daemon(cluster, f"mon.{name}", "mon_status") or {}
            if status.get("state") in ("leader", "peon"):
                return True
            if time.monotonic() < few:
                return False
            answering = sum(peer.answers() for peer in peers)
            return 2 * answering <= len(peers)

        daemons.wait_for(settled, QUORUM_TIMEOUT)

    def _start_manager(self, name: str, spec: Spec) -> None:
        cluster, keyring = specs.cluster_name(spec), _mgr_keyring(specs.cluster_name(spec), name)
        connection = client.clusters_of(self.session).connect(
            cluster,
            "mon.",
            str(founding.secret_of(spec, "mon.")),
            ",".join(peer.addresses() for peer in specs.peers_of(spec)),
        )
        key = connection.ask("auth get-or-create", entity=f"mgr.{name}", caps=_MGR)[0]["key"]
        files.own_folder(keyring.parent)
        files.write_file(keyring, files.keyring_text(f"mgr.{name}", key), 0o600)
        Services(self.session).start(Daemon(cluster, "mgr", name))

    def _remove(self, name: str) -> None:
        for cluster in files.clusters_here(self.session):
            if name in files.monitors_here(cluster):
                self._remove_from(cluster, name)

    def _remove_from(self, cluster: str, name: str) -> None:
        services, data = Services(self.session), founding.data_of(cluster, name)
        secret = files.secret_in(data / "keyring", "mon.")
        if secret is None:
            raise HostError("no_key", f"{data}/keyring has no key of the monitors")
        connection = client.clusters_of(self.session).connect(cluster, "mon.", secret)
        services.stop(Daemon(cluster, "mgr", name))
        connection.bytes("auth del", entity=f"mgr.{name}")
        if _is_known(connection, name):
            connection.bytes("mon rm", name=name)
            # It is answered before it is done, and would be lost with the monitor.
            if not daemons.wait_for(lambda: not _is_known(connection, name), QUORUM_TIMEOUT):
                raise HostError("not_removed", f"the cluster still knows the monitor {name}")
        services.stop(Daemon(cluster, "mon", name))
        # The last step: until then the next run does it all again.
        files.set_aside(_mgr_keyring(cluster, name).parent)
        files.set_aside(data)


def _is_known(connection: client.Connection, name: str) -> bool:
    return name in [mon["name"] for mon in connection.ask("mon dump")["mons"]]


def _mgr_keyring(cluster: str, name: str) -> Path:
    return files.LIB / "mgr" / f"{cluster}-{name}" / "keyring"


def _addresses_in(status: Any, name: str) -> str | None:  # noqa: ANN401
    """Return the addresses of a monitor in the map that it has; ``None`` when it is not in it."""
    for mon in (status or {}).get("monmap", {}).get("mons", []):
        if mon["name"] == name:
            vector = mon["public_addrs"]["addrvec"]
            return "[" + ",".join(f"{one['type']}:{one['addr']}" for one in vector) + "]"
    return None
