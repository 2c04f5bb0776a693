"""An OSD of this node.

Spec, named by the OSD's uuid (Ceph's osd fsid)::

    {"ensure": "present", "cluster": "ceph" or {"name", "fsid"}, "data_device": "/dev/...",
     "db_device"?: "/dev/...", "device_class": "ssd", "weight": 1.0}

The cluster's configuration and the keyring of client.bootstrap-osd must be on the host. Everything
after that is done with the OSD's own key: OSD nodes need no administrator's key.

A device that holds anything is refused. An OSD that goes is set out first, and stays until its
placement groups are elsewhere; its data then stay on the device. ``db_device`` is used when the OSD
is made and not compared afterwards; whether an OSD is *in* is left to those who operate Ceph.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, ClassVar

from corral_host.ceph import client, daemons, device, files, specs
from corral_host.ceph.daemons import Services
from corral_host.ceph.osd_leaving import Leaver
from corral_host.ceph.osd_making import Maker
from corral_host.ceph.osds import Folder, Osds, folders
from corral_host.errors import BadSpec, HostError
from corral_host.kinds.base import Comparison, Difference, Found, Kind

if TYPE_CHECKING:
    from corral_host.kinds.base import Spec
    from corral_host.session import Session

#: Seconds in which a started OSD must be up in the cluster's map.
UP_TIMEOUT = 60
_CLASS = ("hdd", "ssd", "nvme")


class CephOsd(Kind):
    """One OSD."""

    name = "ceph_osd"
    properties: ClassVar[dict[str, str]] = {
        "state": "Whether the OSD runs, starts at boot, and is up in the cluster.",
        "device_class": "CRUSH device class.",
        "weight": "CRUSH weight.",
    }

    def __init__(self, session: Session) -> None:
        """Keep one listing for each cluster."""
        super().__init__(session)
        self.osds = Osds(session)

    def forget(self) -> None:
        """Drop the listings."""
        self.osds.forget()

    def found(self) -> dict[str, Found]:
        """Return the OSDs that have a folder on this host."""
        found = {}
        for uuid, folder in folders().items():
            try:
                there = self.osds.listing(folder.cluster, folder).get(uuid, {})
            except HostError as error:
                there = {"error": error.message}
            properties = {
                "state": self._state(folder, there),
                "device_class": there.get("device_class", "none"),
                "weight": _number(there.get("crush_weight")) or "none",
            }
            detail = {"id": folder.number, "cluster": folder.cluster, "in": there.get("in") == 1}
            if "error" in there:
                detail["error"] = there["error"]
            text = files.read_text(files.config_path(self.session, folder.cluster)) or ""
            managed = text.startswith(files.MARK)
            found[uuid] = Found(managed, properties["state"], properties, detail)
        return found

    def check(self, name: str, spec: Spec) -> None:
        """Raise ``BadSpec``."""
        specs.checked_uuid(name, "ceph_osd")
        specs.cluster_name(spec)
        for field in ("data_device", "db_device"):
            path = spec.get(field)
            if path is None and field == "db_device":
                continue
            if not isinstance(path, str) or not path.startswith("/"):
                raise BadSpec(f"{field} of {name} must be an absolute path, not {path!r}")
        if spec.get("device_class") not in _CLASS:
            raise BadSpec(f"device_class of {name} must be one of {', '.join(_CLASS)}")
        weight = spec.get("weight")
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or weight < 0:
            raise BadSpec(f"weight of {name} must be a number from 0")

    def compare(self, name: str, spec: Spec) -> Comparison:
        """Compare the folder and daemon here with the cluster's listing."""
        folder = self.osds.here(name)
        if spec["ensure"] == "absent":
            return self._compare_absent(name, spec)
        comparison = Comparison(folder is not None and folder.ready, wanted=True)
        cluster = specs.cluster_name(spec)
        if folder is None or not folder.ready:
            fsid = _fsid(self.session, cluster)
            for path in (spec["data_device"], spec.get("db_device")):
                if path is None:
                    continue
                reason = device.examine(self.session, path, name).refusal(name, fsid)
                if reason is not None:
                    difference = Difference("state", None, "up", reason)
                    comparison.refused.append(difference)
            return comparison
        there = self.osds.listing(folder.cluster, folder).get(name)
        if there is None:
            reason = (
                f"the cluster {folder.cluster} does not know the OSD whose data are in "
                f"{folder.path}: it was purged by hand. Give it a new uuid and a wiped device"
            )
            comparison.refused.append(Difference("state", "purged", "up", reason))
            return comparison
        state = self._state(folder, there)
        if state != "up":
            comparison.differences.append(Difference("state", state, "up"))
        current = there.get("device_class") or None
        if current != spec["device_class"]:
            difference = Difference("device_class", current, spec["device_class"])
            comparison.differences.append(difference)
        have, want = _number(there.get("crush_weight")), _number(spec["weight"])
        if have != want:
            comparison.differences.append(Difference("weight", have, want))
        return comparison

    def _state(self, folder: Folder, there: dict[str, Any]) -> str:
        state = Services(self.session).state(folder.daemon)
        if state == "running":
            return "up" if there.get("up") == 1 else "down"
        return state

    def _compare_absent(self, name: str, spec: Spec) -> Comparison:
        leaver = Leaver(self.osds, name, spec)
        comparison = Comparison(leaver.present(), wanted=False)
        reason = leaver.needed() if comparison.present else None
        if reason is not None:
            comparison.refused.append(Difference("state", "in use", None, reason))
        return comparison

    def apply(self, name: str, spec: Spec, comparison: Comparison) -> None:
        """Make the OSD, start it, set class and weight; or let it go."""
        folder = self.osds.here(name)
        if not comparison.wanted:
            Leaver(self.osds, name, spec).leave()
            return
        if comparison.refused:
            return
        if not comparison.present:
            folder = Maker(self.osds, name, spec).make()
            self._place(name, folder, spec)
        else:
            connection = self.osds.connect(folder.cluster, folder)
            changed = {difference.property for difference in comparison.differences}
            if "device_class" in changed:
                self._set_class(connection, folder, spec)
            if "weight" in changed:
                there = self.osds.listing(folder.cluster, folder)[name]
                self._set_weight(connection, folder, spec, there)
        self._start(name, folder)

    def _place(self, name: str, folder: Folder, spec: Spec) -> None:
        """Give it class and weight before its first start, so that data move once."""
        there = self.osds.listing(folder.cluster, folder).get(name, {})
        connection = self.osds.connect(folder.cluster, folder)
        if there.get("device_class") != spec["device_class"]:
            self._set_class(connection, folder, spec)
        if _number(there.get("crush_weight")) != _number(spec["weight"]):
            self._set_weight(connection, folder, spec, there)

    def _start(self, name: str, folder: Folder) -> None:
        services = Services(self.session)
        if services.state(folder.daemon) != "running":
            services.start(folder.daemon)

        def up() -> bool:
            self.osds.forget()
            return self.osds.listing(folder.cluster, folder).get(name, {}).get("up") == 1

        if not daemons.wait_for(up, UP_TIMEOUT):
            raise HostError(
                "not_up",
                f"osd.{folder.number} was started and is not up after {UP_TIMEOUT} s: see "
                f"/var/log/ceph/{folder.cluster}-osd.{folder.number}.log",
            )

    def _set_class(self, connection: client.Connection, folder: Folder, spec: Spec) -> None:
        ids = [str(folder.number)]
        connection.bytes("osd crush rm-device-class", ids=ids)
        # "class" is a word of Python's.
        arguments = {"class": spec["device_class"], "ids": ids}
        connection.bytes("osd crush set-device-class", **arguments)

    def _set_weight(
        self, connection: client.Connection, folder: Folder, spec: Spec, there: dict[str, Any]
    ) -> None:
        weight = float(spec["weight"])
        if "crush_weight" in there:
            connection.bytes("osd crush reweight", name=folder.daemon.name, weight=weight)
            return
        place = ["root=default", f"host={socket.gethostname().partition('.')[0]}"]
        arguments = {"id": folder.number, "weight": weight, "args": place}
        connection.bytes("osd crush set", **arguments)


def _fsid(session: Session, cluster: str) -> str | None:
    text = files.read_text(files.config_path(session, cluster)) or ""
    return files.parse_sections(text).get("global", {}).get("fsid")


def _number(weight: float | None) -> str | None:
    """Return a weight as it is compared: Ceph keeps it in steps of 1/65536."""
    return None if weight is None else f"{round(float(weight), 4):g}"
