"""The OSDs of a host, and what their clusters know of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corral_host.ceph import client, files
from corral_host.ceph.daemons import Daemon
from corral_host.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path

    from corral_host.session import Session

_BOOTSTRAP = "client.bootstrap-osd"


class Folder:
    """``/var/lib/ceph/osd/<cluster>-<number>``."""

    def __init__(self, path: Path, uuid: str) -> None:
        """Read what is in it."""
        self.path, self.uuid = path, uuid
        self.cluster, _, number = path.name.rpartition("-")
        self.number = int(number)
        #: Whether the OSD was made to the end.
        self.ready = (files.read_text(path / "ready") or "").strip() == "ready"
        self.secret = files.secret_in(path / "keyring", f"osd.{number}")
        self.daemon = Daemon(self.cluster, "osd", number)


def folders() -> dict[str, Folder]:
    """Return the OSDs' folders by uuid."""
    found = {}
    for path in sorted((files.LIB / "osd").glob("[!.]*-*")):
        uuid = (files.read_text(path / "fsid") or "").strip()
        if uuid and path.name.rpartition("-")[2].isdigit():
            found[uuid] = Folder(path, uuid)
    return found


class Osds:
    """One listing of the folders here, and one of each cluster."""

    def __init__(self, session: Session) -> None:
        """Look when asked."""
        self.session = session
        self._listings: dict[str, dict[str, dict[str, Any]]] = {}
        self._folders: dict[str, Folder] | None = None

    def forget(self) -> None:
        """Drop the listings."""
        self._listings.clear()
        self._folders = None

    def here(self, uuid: str) -> Folder | None:
        """Return the folder of an OSD, or ``None``."""
        if self._folders is None:
            self._folders = folders()
        return self._folders.get(uuid)

    def connect(self, cluster: str, folder: Folder | None = None) -> client.Connection:
        """Connect as the OSD itself, or as the one that makes OSDs."""
        clusters = client.clusters_of(self.session)
        if folder is not None and folder.secret is not None:
            try:
                return clusters.connect(cluster, f"osd.{folder.number}", folder.secret)
            except HostError as error:
                # Its key went with it when it was removed half-way.
                if error.code != "no_permission":
                    raise
        path = files.keyring_path(self.session, cluster, _BOOTSTRAP)
        secret = files.secret_in(path, _BOOTSTRAP)
        if secret is None:
            raise HostError("no_key", f"{path} has no key of {_BOOTSTRAP}")
        return clusters.connect(cluster, _BOOTSTRAP, secret)

    def listing(self, cluster: str, folder: Folder | None) -> dict[str, dict[str, Any]]:
        """Return the OSDs of the cluster by uuid: up, in, id, device_class, crush_weight."""
        if cluster not in self._listings:
            connection = self.connect(cluster, folder)
            nodes = {one["id"]: one for one in connection.ask("osd tree")["nodes"]}
            self._listings[cluster] = {
                one["uuid"]: {**nodes.get(one["osd"], {}), **one, "id": one["osd"]}
                for one in connection.ask("osd dump")["osds"]
            }
        return self._listings[cluster]
