"""A monitor of this node, and the manager that belongs to it.

Spec, named as the node is in ``peers``::

    {"ensure": "present",
     "cluster": {"name", "fsid", ...},
     "peers": {<name>: {"ensure", "host", "address"?, "port", "founder"?}},
     "keys": {"mon.": {"secret"}, "client.admin": {"secret"}?}}

Never two clusters: a monitor without data joins a quorum when there is one. When there is none it
begins the cluster together with all the peers of the document, which needs most of them; but only
the founder begins at once, and the others wait until the founder answers. So those that are added
to a cluster which happens to be down cannot form a second one without it.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from corral_host import ceph
from corral_host.errors import BadSpec, HostError
from corral_host.kinds.base import Comparison, Difference, Found, Kind
from corral_host.services import Daemon, Services

if TYPE_CHECKING:
    from corral_host.kinds.base import Spec

#: Seconds in which the founder must answer, for those that come with it.
FOUNDER_TIMEOUT = 60
#: Seconds in which monitors find each other when enough of them answer.
QUORUM_TIMEOUT = 30
_ADMIN = {"mon": "allow *", "osd": "allow *", "mgr": "allow *", "mds": "allow *"}
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
            for cluster in ceph.clusters_here(self.session)
            for name in ceph.monitors_here(cluster)
        }

    def _found(self, cluster: str, name: str) -> Found:
        status = ceph.ask_daemon(cluster, f"mon.{name}", "mon_status") or {}
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
        text = ceph.read_text(ceph.config_path(self.session, cluster)) or ""
        state = status.get("state") or properties["state"]
        return Found(text.startswith(ceph.MARK), state, properties, detail)

    def check(self, name: str, spec: Spec) -> None:
        """Raise ``BadSpec``."""
        ceph.checked_name(name, "ceph_mon")
        ceph.cluster_fsid(spec)
        if name not in [peer.name for peer in ceph.peers_of(spec)]:
            raise BadSpec(f"peers does not name the monitor {name} itself")
        for entity in ("mon.", "client.admin"):
            if entity == "mon." or entity in _keys(spec):
                _secret(spec, entity)

    def compare(self, name: str, spec: Spec) -> Comparison:
        """Compare what is here. It needs no quorum."""
        if spec["ensure"] == "absent":
            return self._compare_absent(name)
        cluster = ceph.cluster_name(spec)
        present = name in ceph.monitors_here(cluster)
        comparison = Comparison(present, wanted=True)
        if not present:
            return comparison
        status = ceph.ask_daemon(cluster, f"mon.{name}", "mon_status")
        fsid, wanted = self._fsid(cluster, name, status), ceph.cluster_fsid(spec)
        if fsid is not None and fsid != wanted:
            reason = (
                f"{_data(cluster, name)} belongs to another cluster: stop that monitor and move "
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
        addresses = _peer(name, spec).addresses()
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
            for cluster in ceph.clusters_here(self.session)
            if name in ceph.monitors_here(cluster)
        ]
        comparison = Comparison(bool(here), wanted=False)
        for cluster in here:
            status = ceph.ask_daemon(cluster, f"mon.{name}", "mon_status") or {}
            names = [mon["name"] for mon in status.get("monmap", {}).get("mons", [])]
            if names == [name]:
                reason = "it is the last monitor: without it the cluster and its data are lost"
                comparison.refused.append(Difference("monmap", name, None, reason))
        return comparison

    def _manager(self, cluster: str, name: str) -> str:
        if ceph.secret_in(_mgr_keyring(cluster, name), f"mgr.{name}") is None:
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
            words = self.session.run(["monmaptool", "--print", str(file)]).stdout.decode().split()
            return words[words.index("fsid") + 1]

    def apply(self, name: str, spec: Spec, comparison: Comparison) -> None:
        """Make the monitor, or start it; then its manager, which needs a quorum."""
        if not comparison.wanted:
            if not comparison.refused:
                self._remove(name)
            return
        cluster = ceph.cluster_name(spec)
        services = Services(self.session)
        changed = {difference.property for difference in comparison.differences}
        if not comparison.present:
            self._make(name, spec)
        if not comparison.present or "state" in changed:
            services.start(Daemon(cluster, "mon", name))
            self._await_quorum(name, spec)
        ceph.clusters_of(self.session).heard()
        if not comparison.present or "mgr" in changed:
            self._start_manager(name, spec)

    def _make(self, name: str, spec: Spec) -> None:
        cluster, data = ceph.cluster_name(spec), _data(ceph.cluster_name(spec), name)
        ceph.own_folder(data.parent)
        # What was begun and not finished lies under a name that no daemon uses.
        staged = data.with_name(f".{data.name}.new")
        shutil.rmtree(staged, ignore_errors=True)
        with tempfile.TemporaryDirectory() as folder:
            monmap, keyring = Path(folder) / "monmap", Path(folder) / "keyring"
            self._write_monmap(monmap, name, spec)
            text = ceph.keyring_text("mon.", _secret(spec, "mon."), {"mon": "allow *"})
            if "client.admin" in _keys(spec):
                text += ceph.keyring_text("client.admin", _secret(spec, "client.admin"), _ADMIN)
            ceph.write_file(keyring, text, 0o600, "root")
            command = ["ceph-mon", "--cluster", cluster, "--id", name, "--mkfs"]
            command += ["--mon-data", str(staged), "--monmap", str(monmap)]
            staged.mkdir(mode=0o750)
            self.session.run([*command, "--keyring", str(keyring)])
        for path in (staged, *staged.rglob("*")):
            shutil.chown(path, "ceph", "ceph")
        staged.rename(data)
        ceph.sync_folder(data.parent)

    def _write_monmap(self, path: Path, name: str, spec: Spec) -> None:
        peers, me, fsid = ceph.peers_of(spec), _peer(name, spec), ceph.cluster_fsid(spec)
        existing = self._existing_monmap(name, spec)
        if existing is not None:
            path.write_bytes(existing)
            words = self.session.run(["monmaptool", "--print", str(path)]).stdout.decode().split()
            if words[words.index("fsid") + 1] != fsid:
                raise HostError("other_cluster", f"the monitors {spec['peers']} have another fsid")
            if f"mon.{name}" in words:
                # Its data were lost; the cluster still knows it.
                self.session.run(["monmaptool", "--rm", name, str(path)])
            self.session.run(["monmaptool", "--addv", name, me.addresses(), str(path)])
            return
        command = ["monmaptool", "--create", "--clobber", "--fsid", fsid]
        # The same everywhere, so that those that begin at once begin the same cluster.
        for peer in peers:
            command += ["--addv", peer.name, peer.addresses()]
        self.session.run([*command, str(path)])

    def _existing_monmap(self, name: str, spec: Spec) -> bytes | None:
        """Return the map of the quorum; ``None`` when this monitor may begin the cluster.

        Raises ``HostError`` when there is no quorum, and it may not.
        """
        peers = ceph.peers_of(spec)
        others = [peer for peer in peers if peer.name != name]
        founder = ceph.founder_of(peers)
        end = time.monotonic() + FOUNDER_TIMEOUT
        while True:
            answering = [peer for peer in others if peer.answers()]
            if answering:
                monmap = self._ask_monmap(answering, spec)
                if monmap is not None:
                    return monmap
            if founder.name == name:
                break
            if founder in answering:
                return None
            if time.monotonic() > end:
                raise HostError(
                    "no_founder",
                    f"the monitor {founder.name} ({founder.addresses()}) does not answer, and it "
                    f"begins the cluster: the next run of this node goes on when it does",
                )
            time.sleep(1)
        fsid = ceph.cluster_fsid(spec)
        for path in (ceph.LIB / "osd").glob("*/ceph_fsid"):
            if (ceph.read_text(path) or "").strip() == fsid:
                raise HostError(
                    "cluster_lost",
                    f"{path.parent} holds data of the cluster {fsid}, so it was there before: a "
                    "new one is not begun in its place. Bring its monitors back",
                )
        return None

    def _ask_monmap(self, answering: list[ceph.Peer], spec: Spec) -> bytes | None:
        clusters, cluster = ceph.clusters_of(self.session), ceph.cluster_name(spec)
        mon_host = ",".join(peer.addresses() for peer in answering)
        clusters.heard()
        try:
            secret = _secret(spec, "mon.")
            # Shortly: to begin with all peers is safe too, they then tell of the quorum.
            return clusters.connect(cluster, "mon.", secret, mon_host, 3).bytes("mon getmap")
        except HostError as error:
            if error.code != "no_quorum":
                raise
            return None

    def _await_quorum(self, name: str, spec: Spec) -> None:
        """Wait for the others, as long as enough of them answer to be worth it."""
        cluster, peers = ceph.cluster_name(spec), ceph.peers_of(spec)
        few = time.monotonic() + 5

        def settled() -> bool:
            status = ceph.ask_daemon(cluster, f"mon.{name}", "mon_status") or {}
            if status.get("state") in ("leader", "peon"):
                return True
            if time.monotonic() < few:
                return False
            answering = sum(peer.answers() for peer in peers)
            return 2 * answering <= len(peers)

        ceph.wait_for(settled, QUORUM_TIMEOUT)

    def _start_manager(self, name: str, spec: Spec) -> None:
        cluster, keyring = ceph.cluster_name(spec), _mgr_keyring(ceph.cluster_name(spec), name)
        connection = ceph.clusters_of(self.session).connect(
            cluster,
            "mon.",
            _secret(spec, "mon."),
            ",".join(peer.addresses() for peer in ceph.peers_of(spec)),
        )
        key = connection.ask("auth get-or-create", entity=f"mgr.{name}", caps=_MGR)[0]["key"]
        ceph.own_folder(keyring.parent)
        ceph.write_file(keyring, ceph.keyring_text(f"mgr.{name}", key), 0o600)
        Services(self.session).start(Daemon(cluster, "mgr", name))

    def _remove(self, name: str) -> None:
        services, clusters = Services(self.session), ceph.clusters_of(self.session)
        for cluster in ceph.clusters_here(self.session):
            if name not in ceph.monitors_here(cluster):
                continue
            data = _data(cluster, name)
            secret = ceph.secret_in(data / "keyring", "mon.")
            if secret is None:
                raise HostError("no_key", f"{data}/keyring has no key of the monitors")
            connection = clusters.connect(cluster, "mon.", secret)
            services.stop(Daemon(cluster, "mgr", name))
            connection.bytes("auth del", entity=f"mgr.{name}")
            monmap = connection.ask("mon dump")
            if name in [mon["name"] for mon in monmap["mons"]]:
                connection.bytes("mon rm", name=name)
            services.stop(Daemon(cluster, "mon", name))
            # The last step: until then the next run does it all again.
            ceph.set_aside(_mgr_keyring(cluster, name).parent)
            ceph.set_aside(data)


def _data(cluster: str, name: str) -> Path:
    return ceph.LIB / "mon" / f"{cluster}-{name}"


def _mgr_keyring(cluster: str, name: str) -> Path:
    return ceph.LIB / "mgr" / f"{cluster}-{name}" / "keyring"


def _peer(name: str, spec: Spec) -> ceph.Peer:
    return next(peer for peer in ceph.peers_of(spec) if peer.name == name)


def _keys(spec: Spec) -> dict[str, Any]:
    keys = spec.get("keys")
    if not isinstance(keys, dict):
        raise BadSpec("keys must be a mapping of keys by entity")
    return keys


def _secret(spec: Spec, entity: str) -> str:
    key = _keys(spec).get(entity)
    secret = key.get("secret") if isinstance(key, dict) else None
    return ceph.checked_secret(secret, f"keys.{entity}.secret")


def _addresses_in(status: Any, name: str) -> str | None:  # noqa: ANN401
    """Return the addresses of a monitor in the map that it has; ``None`` when it is not in it."""
    for mon in (status or {}).get("monmap", {}).get("mons", []):
        if mon["name"] == name:
            vector = mon["public_addrs"]["addrvec"]
            return "[" + ",".join(f"{one['type']}:{one['addr']}" for one in vector) + "]"
    return None
