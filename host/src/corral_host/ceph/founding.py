"""The data of a new monitor: joined to the cluster that there is, or beginning one.

Never two clusters with one fsid. A monitor that has no data may begin one only together with all
peers of its document, and only when none of those that answer was ever part of a quorum; and but
for the founder, only when the founder answers. So neither monitors that are added to a cluster
which happens to be down nor one that lost its data can form a second one.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corral_host.ceph import client, files, specs
from corral_host.errors import BadSpec, HostError

if TYPE_CHECKING:
    from corral_host.kinds.base import Spec
    from corral_host.session import Session

#: Seconds in which the founder must answer, for those that come with it.
FOUNDER_TIMEOUT = 60
_ADMIN = {"mon": "allow *", "osd": "allow *", "mgr": "allow *", "mds": "allow *"}


def data_of(cluster: str, name: str) -> Path:
    """Return the folder of a monitor."""
    return files.LIB / "mon" / f"{cluster}-{name}"


def peer_named(name: str, spec: Spec) -> specs.Peer:
    """Return a monitor of ``peers``. Raises ``BadSpec``."""
    for peer in specs.peers_of(spec):
        if peer.name == name:
            return peer
    raise BadSpec(f"peers does not name the monitor {name} itself")


def secret_of(spec: Spec, entity: str) -> str | None:
    """Return a key of ``keys``; ``None`` for one that is not there. Raises ``BadSpec``."""
    keys = spec.get("keys")
    if not isinstance(keys, dict):
        raise BadSpec("keys must be a mapping of keys by entity")
    key = keys.get(entity)
    if key is None:
        return None
    secret = key.get("secret") if isinstance(key, dict) else None
    return specs.checked_secret(secret, f"keys.{entity}.secret")


def fsid_of(session: Session, monmap: Path) -> str:
    """Return the cluster of a monitors' map."""
    words = session.run(["monmaptool", "--print", str(monmap)]).stdout.decode().split()
    return words[words.index("fsid") + 1]


def make_data(session: Session, name: str, spec: Spec) -> None:
    """Make the data of a monitor that has none. Raises ``HostError`` when it may not yet."""
    cluster, admin = specs.cluster_name(spec), secret_of(spec, "client.admin")
    data = data_of(cluster, name)
    files.own_folder(data.parent)
    # What was begun and not finished lies under a name that no daemon uses.
    staged = data.with_name(f".{data.name}.new")
    shutil.rmtree(staged, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        monmap, keyring = Path(folder) / "monmap", Path(folder) / "keyring"
        _write_monmap(session, monmap, name, spec)
        text = files.keyring_text("mon.", str(secret_of(spec, "mon.")), {"mon": "allow *"})
        if admin is not None:
            text += files.keyring_text("client.admin", admin, _ADMIN)
        files.write_file(keyring, text, 0o600, "root")
        command = ["ceph-mon", "--cluster", cluster, "--id", name, "--mkfs"]
        command += ["--mon-data", str(staged), "--monmap", str(monmap)]
        staged.mkdir(mode=0o750)
        session.run([*command, "--keyring", str(keyring)])
    for path in (staged, *staged.rglob("*")):
        shutil.chown(path, "ceph", "ceph")
    staged.rename(data)
    files.sync_folder(data.parent)


def _write_monmap(session: Session, path: Path, name: str, spec: Spec) -> None:
    peers, me, fsid = specs.peers_of(spec), peer_named(name, spec), specs.cluster_fsid(spec)
    existing = _existing_monmap(session, name, spec)
    if existing is None:
        command = ["monmaptool", "--create", "--clobber", "--fsid", fsid]
        # The same everywhere, so that those that begin at once begin the same cluster.
        for peer in peers:
            command += ["--addv", peer.name, peer.addresses()]
        session.run([*command, str(path)])
        return
    path.write_bytes(existing)
    if fsid_of(session, path) != fsid:
        raise HostError("other_cluster", f"the monitors that answer are not of the cluster {fsid}")
    # Its data were lost, if the cluster knows it; then it is not in the map either way.
    session.run(["monmaptool", "--rm", name, str(path)], check=False)
    session.run(["monmaptool", "--addv", name, me.addresses(), str(path)])


def _existing_monmap(session: Session, name: str, spec: Spec) -> bytes | None:
    """Return the map of the quorum; ``None`` when this monitor may begin the cluster.

    Raises ``HostError`` when there is no quorum, and it may not.
    """
    peers = specs.peers_of(spec)
    others = [peer for peer in peers if peer.name != name]
    founder = specs.founder_of(peers)
    end = time.monotonic() + FOUNDER_TIMEOUT
    while True:
        answering = [peer for peer in others if peer.answers()]
        monmap = _ask_monmap(session, answering, spec) if answering else None
        if monmap is not None:
            return monmap
        # None of them was part of a quorum yet; one that does not say may have been.
        fresh = all(_epoch(peer, spec) == 0 for peer in answering)
        if fresh and (founder.name == name or founder in answering):
            _check_no_traces(specs.cluster_fsid(spec))
            return None
        if time.monotonic() > end:
            break
        time.sleep(1)
    if fresh:
        raise HostError(
            "no_founder",
            f"the monitor {founder.name} {founder.addresses()} does not answer, and it begins the "
            "cluster: the next run of this node goes on when it does",
        )
    where = ", ".join(f"{peer.name} {peer.addresses()}" for peer in answering)
    raise HostError("no_quorum", f"the cluster is there and has no quorum to join: {where} answer")


def _check_no_traces(fsid: str) -> None:
    for path in (files.LIB / "osd").glob("*/ceph_fsid"):
        if (files.read_text(path) or "").strip() == fsid:
            raise HostError(
                "cluster_lost",
                f"{path.parent} holds data of the cluster {fsid}, so it was there before: a new "
                "one is not begun in its place. Bring its monitors back",
            )


def _ask_monmap(session: Session, answering: list[specs.Peer], spec: Spec) -> bytes | None:
    clusters, cluster = client.clusters_of(session), specs.cluster_name(spec)
    mon_host = ",".join(peer.addresses() for peer in answering)
    clusters.heard()
    try:
        secret = str(secret_of(spec, "mon."))
        return clusters.connect(cluster, "mon.", secret, mon_host, 3).bytes("mon getmap")
    except HostError as error:
        if error.code != "no_quorum":
            raise
        return None


def _epoch(peer: specs.Peer, spec: Spec) -> int | None:
    """Return the epoch of a monitor's map: 0 before its first quorum, ``None`` for no answer."""
    said = client.ping(specs.cluster_name(spec), peer.v1())
    epoch: Any = (said or {}).get("mon_status", {}).get("monmap", {}).get("epoch")
    return epoch
