"""How an OSD leaves: only when what it held is elsewhere. Its data stay on the device."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from corral_host.ceph import client, daemons, files, specs
from corral_host.errors import HostError

if TYPE_CHECKING:
    from corral_host.ceph.osds import Osds
    from corral_host.kinds.base import Spec

#: Seconds that the state of the placement groups may be old.
STALE = 60


class Leaver:
    """One OSD that is to go."""

    def __init__(self, osds: Osds, uuid: str, spec: Spec) -> None:
        """Look at the folder; ``spec`` may name the cluster for an OSD that has none."""
        self.osds, self.session, self.uuid = osds, osds.session, uuid
        self.folder = osds.here(uuid)
        self.cluster = self.folder.cluster if self.folder else specs.cluster_name(spec)

    def _there(self) -> dict[str, Any] | None:
        return self.osds.listing(self.cluster, self.folder).get(self.uuid)

    def present(self) -> bool:
        """Tell whether anything of it is left, here or in the cluster."""
        if self.folder is not None:
            return True
        if not files.config_path(self.session, self.cluster).exists():
            return False
        return self._there() is not None

    def needed(self) -> str | None:
        """Return why the OSD cannot go yet."""
        there = self._there()
        if there is None:
            return None
        osd = f"osd.{there['id']}"
        if self.folder is None and not self._may():
            return (
                f"the key of {osd} was lost with its folder: when its data are elsewhere, purge it "
                f"by hand with ceph osd purge {there['id']}"
            )
        if "new" in there["state"]:
            return None
        status = daemons.ask_daemon(self.cluster, osd, "status") if self.folder else None
        if status is not None:
            groups = status["num_pgs"]
            if groups == 0:
                return None
            return (
                f"{osd} still holds {groups} placement groups, which move to other OSDs as far as "
                "there are enough: the next run goes on when they have"
            )
        return self._needed_dead(osd, there)

    def _needed_dead(self, osd: str, there: dict[str, Any]) -> str | None:
        # It cannot be asked: then all placement groups must be whole without it.
        if not there["up"] and not there["in"]:
            connection = self._connect()
            dump = connection.ask("osd dump")
            changes = (_age(dump["last_up_change"]), _age(dump["last_in_change"]))
            groups = connection.ask("status")["pgmap"].get("pgs_by_state", [])
            whole = all({"active", "clean"} <= set(one["state_name"].split("+")) for one in groups)
            if whole and min(changes) > STALE:
                return None
        return (
            f"{osd} does not run, and the placement groups have not all been active+clean without "
            f"it for {STALE} s: the next run goes on when they have"
        )

    def _connect(self) -> client.Connection:
        if self.folder is not None:
            return self.osds.connect(self.cluster, self.folder)
        return client.clusters_of(self.session).admin(self.cluster)

    def leave(self) -> None:
        """Set it out, and remove it when nothing needs it. Raises ``HostError``."""
        there = self._there()
        if there is not None and there["in"] and (self.folder is not None or self._may()):
            self._connect().bytes("osd out", ids=[str(there["id"])])
            # Until its own daemon has the new map.
            time.sleep(3)
            self.osds.forget()
        reason = self.needed()
        if reason is not None:
            raise HostError("refused", f"state: {reason}")
        if self.folder is not None:
            daemons.Services(self.session).stop(self.folder.daemon)
        if there is not None:
            connection, number = self._connect(), there["id"]
            connection.bytes("osd down", ids=[str(number)])
            # What `ceph osd purge` asks of the monitors, after the manager agreed.
            connection.bytes("osd purge-actual", id=number, yes_i_really_mean_it=True)
        if self.folder is not None and self.folder.path.is_mount():
            self.session.run(["umount", str(self.folder.path)])
            self.folder.path.rmdir()
        elif self.folder is not None:
            files.set_aside(self.folder.path)

    def _may(self) -> bool:
        return client.clusters_of(self.session).may_administer(self.cluster)


def _age(stamp: str) -> float:
    """Return how many seconds ago something was; very many for never."""
    try:
        then = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%f%z")
    except ValueError:
        return float("inf")
    return (datetime.now(timezone.utc) - then).total_seconds()
