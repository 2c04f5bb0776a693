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

import base64
import fcntl
import os
import secrets as random
import shutil
import socket
import struct
import time
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar

from corral_host.ceph import client, daemons, files, specs
from corral_host.ceph import device as devices
from corral_host.ceph.daemons import Daemon, Services
from corral_host.errors import BadSpec, HostError
from corral_host.kinds.base import Comparison, Difference, Found, Kind

if TYPE_CHECKING:
    from pathlib import Path

    from corral_host.kinds.base import Spec
    from corral_host.session import Session

#: Seconds in which a started OSD must be up in the cluster's map.
UP_TIMEOUT = 60
#: Seconds in which an OSD must be made.
MKFS_TIMEOUT = 600
#: Seconds that the state of the placement groups may be old.
STALE = 60
_BOOTSTRAP = "client.bootstrap-osd"
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
        self._listings: dict[str, dict[str, dict[str, Any]]] = {}
        self._folders: dict[str, Folder] | None = None

    def forget(self) -> None:
        """Drop the listings."""
        self._listings.clear()
        self._folders = None

    def _here(self, uuid: str) -> Folder | None:
        if self._folders is None:
            self._folders = folders()
        return self._folders.get(uuid)

    def _connect(self, cluster: str, folder: Folder | None = None) -> client.Connection:
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

    def _listing(self, cluster: str, folder: Folder | None) -> dict[str, dict[str, Any]]:
        """Return the OSDs of the cluster by uuid: up, in, id, device_class, crush_weight."""
        if cluster not in self._listings:
            connection = self._connect(cluster, folder)
            nodes = {one["id"]: one for one in connection.ask("osd tree")["nodes"]}
            self._listings[cluster] = {
                one["uuid"]: {**nodes.get(one["osd"], {}), **one, "id": one["osd"]}
                for one in connection.ask("osd dump")["osds"]
            }
        return self._listings[cluster]

    def found(self) -> dict[str, Found]:
        """Return the OSDs that have a folder on this host."""
        found = {}
        for uuid, folder in folders().items():
            try:
                there = self._listing(folder.cluster, folder).get(uuid, {})
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
        folder = self._here(name)
        if spec["ensure"] == "absent":
            return self._compare_absent(name, folder)
        comparison = Comparison(folder is not None and folder.ready, wanted=True)
        cluster = specs.cluster_name(spec)
        if folder is None or not folder.ready:
            fsid = _fsid(self.session, cluster)
            for path in (spec["data_device"], spec.get("db_device")):
                if path is None:
                    continue
                reason = devices.examine(self.session, path, name).refusal(name, fsid)
                if reason is not None:
                    difference = Difference("state", None, "up", reason)
                    comparison.refused.append(difference)
            return comparison
        there = self._listing(folder.cluster, folder).get(name)
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

    def _compare_absent(self, name: str, folder: Folder | None) -> Comparison:
        if folder is None:
            return Comparison(present=False, wanted=False)
        comparison = Comparison(present=True, wanted=False)
        there = self._listing(folder.cluster, folder).get(name)
        reason = self._needed(folder, there)
        if reason is not None:
            comparison.refused.append(Difference("state", "up", None, reason))
        return comparison

    def _needed(self, folder: Folder, there: dict[str, Any] | None) -> str | None:
        """Return why the OSD cannot go yet."""
        if there is None or not folder.ready:
            return None
        number = folder.number
        status = daemons.ask_daemon(folder.cluster, f"osd.{number}", "status")
        if status is not None:
            groups = status["num_pgs"]
            if groups == 0:
                return None
            return (
                f"osd.{number} still holds {groups} placement groups, which move to other OSDs now "
                "that it is out: the next run goes on when they have"
            )
        # A dead one cannot be asked: then all placement groups must be whole without it.
        if there["up"] or there["in"]:
            return f"osd.{number} does not run, and counts as up or in: the next run goes on"
        connection = self._connect(folder.cluster, folder)
        dump = connection.ask("osd dump")
        changes = (_age(dump["last_up_change"]), _age(dump["last_in_change"]))
        groups = connection.ask("status")["pgmap"].get("pgs_by_state", [])
        whole = all(set(one["state_name"].split("+")) >= {"active", "clean"} for one in groups)
        if whole and min(changes) > STALE:
            return None
        return (
            f"osd.{number} does not run, and not all placement groups are active+clean without it "
            "yet: the next run goes on when they are"
        )

    def apply(self, name: str, spec: Spec, comparison: Comparison) -> None:
        """Make the OSD, start it, set class and weight; or let it go."""
        folder = self._here(name)
        if not comparison.wanted:
            self._remove(name, folder)
            return
        if comparison.refused:
            return
        if not comparison.present:
            folder = self._make(name, spec)
        else:
            connection = self._connect(folder.cluster, folder)
            changed = {difference.property for difference in comparison.differences}
            if "device_class" in changed:
                self._set_class(connection, folder, spec)
            if "weight" in changed:
                there = self._listing(folder.cluster, folder)[name]
                self._set_weight(connection, folder, spec, there)
        self._start(name, folder)

    def _start(self, name: str, folder: Folder) -> None:
        services = Services(self.session)
        if services.state(folder.daemon) != "running":
            services.start(folder.daemon)

        def up() -> bool:
            self._listings.clear()
            return self._listing(folder.cluster, folder).get(name, {}).get("up") == 1

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

    def _make(self, name: str, spec: Spec) -> Folder:
        device = devices.examine(self.session, spec["data_device"], name)
        cluster = specs.cluster_name(spec)
        if device.kind == "block":
            folder = self._make_volume(name, spec, cluster)
        else:
            folder = self._make_file(name, spec, cluster, device)
        there = self._listing(cluster, folder).get(name, {})
        connection = self._connect(cluster, folder)
        # Before its first start, so that data move once.
        if there.get("device_class") != spec["device_class"]:
            self._set_class(connection, folder, spec)
        if _number(there.get("crush_weight")) != _number(spec["weight"]):
            self._set_weight(connection, folder, spec, there)
        return folder

    def _make_volume(self, name: str, spec: Spec, cluster: str) -> Folder:
        made = devices.volumes(self.session).get(name)
        number = (
            made["id"]
            if made is not None
            else devices.prepare_volume(self.session, cluster, name, spec)
        )
        systemd = Services(self.session).systemd
        devices.activate_volume(self.session, cluster, name, number, systemd=systemd)
        return self._found_again(name)

    def _make_file(self, name: str, spec: Spec, cluster: str, device: devices.Device) -> Folder:
        folder = self._here(name)
        paths = {"block": spec["data_device"], "block.db": spec.get("db_device")}
        if folder is None:
            self._register(name, spec, cluster, device, paths)
            folder = self._found_again(name)
        for path in paths.values():
            if path is not None:
                shutil.chown(path, "ceph", "ceph")
        # One that an earlier run began may go on after that was killed.
        if not daemons.wait_for(lambda: _free(folder.path / "fsid"), MKFS_TIMEOUT):
            raise HostError("in_use", f"another ceph-osd is busy with {folder.path}")
        if device.label.get("mkfs_done"):
            # The data are whole: only the folder was lost.
            command = ["ceph-bluestore-tool", "prime-osd-dir", "--dev", device.path]
            self.session.run([*command, "--path", str(folder.path)])
            for path in folder.path.iterdir():
                os.chown(path, *files.ids_of("ceph"), follow_symlinks=False)
        # Running it again after it was killed is how Ceph finishes it.
        command = ["ceph-osd", "--cluster", cluster, "--id", str(folder.number), "--mkfs"]
        command += ["--osd-uuid", name, "--osd-data", str(folder.path), "--keyfile", "-"]
        command += ["--setuser", "ceph", "--setgroup", "ceph"]
        self.session.run(command, input=str(folder.secret).encode(), timeout=MKFS_TIMEOUT)
        return self._found_again(name)

    def _register(
        self,
        name: str,
        spec: Spec,
        cluster: str,
        device: devices.Device,
        paths: dict[str, str | None],
    ) -> None:
        """Get the OSD's number, and make its folder at once."""
        parent = files.LIB / "osd"
        files.own_folder(parent)
        staged = parent / f".{name}"
        files.own_folder(staged)
        # It is here before the cluster knows it: after a kill in between it is used again.
        kept = staged / "secret"
        secret = device.label.get("osd_key") or files.read_text(kept) or new_secret()
        files.write_file(kept, secret, 0o600)
        wanted = device.label.get("whoami")
        number = self._new(name, spec, cluster, secret)
        if wanted is not None and int(wanted) != number:
            raise HostError(
                "other_osd", f"{device.path} is osd.{wanted}, and the cluster says osd.{number}"
            )
        target = parent / f"{cluster}-{number}"
        if target.exists() and any(target.iterdir()):
            raise HostError(
                "folder_in_use",
                f"{target} is the folder of another OSD that had the number {number}: move it away "
                "if it is not needed",
            )
        text = files.keyring_text(f"osd.{number}", secret)
        files.write_file(staged / "keyring", text, 0o600)
        files.write_file(staged / "fsid", name + "\n", 0o644)
        for link, path in paths.items():
            if path is not None:
                (staged / link).unlink(missing_ok=True)
                (staged / link).symlink_to(path)
                os.chown(staged / link, *files.ids_of("ceph"), follow_symlinks=False)
        kept.unlink()
        staged.rename(target)
        files.sync_folder(parent)

    def _new(self, name: str, spec: Spec, cluster: str, secret: str) -> int:
        connection = self._connect(cluster)
        wanted = {"cephx_secret": secret, "crush_device_class": spec["device_class"]}
        arguments = {"input": client.json_bytes(wanted), "uuid": name}
        try:
            return connection.ask("osd new", **arguments)["osdid"]
        except HostError as error:
            if error.code != "ceph_exists":
                raise
        there = self._listing(cluster, None).get(name)
        if there is None or "new" not in there["state"]:
            raise HostError(
                "data_lost",
                f"the cluster knows the OSD {name}, and its data are not on {spec['data_device']}: "
                "replace it in Corral by one with a uuid of its own",
            )
        # It never ran, and its key went with a folder that is lost.
        connection.bytes("osd purge-new", id=there["id"], yes_i_really_mean_it=True)
        return connection.ask("osd new", **arguments)["osdid"]

    def _found_again(self, name: str) -> Folder:
        self.forget()
        folder = self._here(name)
        if folder is None:
            raise HostError("not_made", f"the OSD {name} has no folder below {files.LIB}/osd")
        return folder

    def _remove(self, name: str, folder: Folder) -> None:
        cluster, number = folder.cluster, folder.number
        there = self._listing(cluster, folder).get(name)
        if there is not None:
            connection = self._connect(cluster, folder)
            if there["in"]:
                connection.bytes("osd out", ids=[str(number)])
                # Until its own daemon has the new map.
                time.sleep(3)
                self._listings.clear()
                there = self._listing(cluster, folder)[name]
        reason = self._needed(folder, there)
        if reason is not None:
            raise HostError("refused", f"state: {reason}")
        Services(self.session).stop(folder.daemon)
        if there is not None:
            connection.bytes("osd down", ids=[str(number)])
            connection.bytes("osd purge-actual", id=number, yes_i_really_mean_it=True)
        if folder.path.is_mount():
            self.session.run(["umount", str(folder.path)])
            folder.path.rmdir()
        else:
            files.set_aside(folder.path)


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


def _free(path: Path) -> bool:
    """Tell whether no process of Ceph has the OSD's folder."""
    with path.open("r+b") as file, suppress(OSError):
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def new_secret() -> str:
    """Return a key in Ceph's form: type 1, time, length, and 16 random bytes."""
    header = struct.pack("<HIIH", 1, int(time.time()), 0, 16)
    return base64.b64encode(header + random.token_bytes(16)).decode()


def _fsid(session: Session, cluster: str) -> str | None:
    text = files.read_text(files.config_path(session, cluster)) or ""
    return files.parse_sections(text).get("global", {}).get("fsid")


def _number(weight: float | None) -> str | None:
    """Return a weight as it is compared: Ceph keeps it in steps of 1/65536."""
    return None if weight is None else f"{round(float(weight), 4):g}"


def _age(stamp: str) -> float:
    """Return how many seconds ago something was; very many for never."""
    try:
        then = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%f%z")
    except ValueError:
        return float("inf")
    return (datetime.now(timezone.utc) - then).total_seconds()
