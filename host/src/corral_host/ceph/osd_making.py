"""How an OSD is made, so that a run that is killed at any moment is finished by the next one."""

from __future__ import annotations

import base64
import fcntl
import os
import secrets as random
import shutil
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from corral_host.ceph import client, device, files, specs
from corral_host.ceph.daemons import Services, wait_for
from corral_host.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path

    from corral_host.ceph.osds import Folder, Osds
    from corral_host.kinds.base import Spec

#: Seconds in which an OSD must be made.
MKFS_TIMEOUT = 600


class Maker:
    """Makes one OSD; it does not start it."""

    def __init__(self, osds: Osds, uuid: str, spec: Spec) -> None:
        """``uuid`` is the OSD's."""
        self.osds, self.session = osds, osds.session
        self.uuid, self.spec = uuid, spec
        self.cluster = specs.cluster_name(spec)

    def make(self) -> Folder:
        """Return the folder of the OSD, with all in it. Raises ``HostError``."""
        found = device.examine(self.session, self.spec["data_device"], self.uuid)
        return self._make_volume() if found.kind == "block" else self._make_file(found)

    def _make_volume(self) -> Folder:
        made = device.volumes(self.session).get(self.uuid)
        number = (
            made["id"]
            if made is not None
            else device.prepare_volume(self.session, self.cluster, self.uuid, self.spec)
        )
        systemd = Services(self.session).systemd
        device.activate_volume(self.session, self.cluster, self.uuid, number, systemd=systemd)
        return self._found_again()

    def _make_file(self, found: device.Device) -> Folder:
        folder = self.osds.here(self.uuid)
        paths = {"block": self.spec["data_device"], "block.db": self.spec.get("db_device")}
        if folder is None:
            self._register(found, paths)
            folder = self._found_again()
        for path in paths.values():
            if path is not None:
                shutil.chown(path, "ceph", "ceph")
        # One that an earlier run began may go on after that was killed.
        if not wait_for(lambda: _free(folder.path / "fsid"), MKFS_TIMEOUT):
            raise HostError("in_use", f"another ceph-osd is busy with {folder.path}")
        if found.label.get("mkfs_done"):
            # The data are whole: only the folder was lost.
            command = ["ceph-bluestore-tool", "prime-osd-dir", "--dev", found.path]
            self.session.run([*command, "--path", str(folder.path)])
            for path in folder.path.iterdir():
                os.chown(path, *files.ids_of("ceph"), follow_symlinks=False)
        # Running it again after it was killed is how Ceph finishes it.
        command = ["ceph-osd", "--cluster", self.cluster, "--id", str(folder.number), "--mkfs"]
        command += ["--osd-uuid", self.uuid, "--osd-data", str(folder.path), "--keyfile", "-"]
        command += ["--setuser", "ceph", "--setgroup", "ceph"]
        self.session.run(command, input=str(folder.secret).encode(), timeout=MKFS_TIMEOUT)
        return self._found_again()

    def _register(self, found: device.Device, paths: dict[str, str | None]) -> None:
        """Get the OSD's number, and make its folder at once."""
        parent = files.LIB / "osd"
        files.own_folder(parent)
        staged = parent / f".{self.uuid}"
        files.own_folder(staged)
        # It is here before the cluster knows it: after a kill in between it is used again.
        kept = staged / "secret"
        secret = found.label.get("osd_key") or files.read_text(kept) or new_secret()
        files.write_file(kept, secret, 0o600)
        if found.label.get("mkfs_done"):
            there = self.osds.listing(self.cluster, None).get(self.uuid, {}).get("id")
            if str(there) != found.label.get("whoami"):
                raise HostError(
                    "purged",
                    f"{found.path} is osd.{found.label.get('whoami')}, which the cluster does not "
                    "know any more: give the OSD a new uuid, and wipe the device",
                )
        number = self._new(secret)
        target = parent / f"{self.cluster}-{number}"
        if target.exists() and any(target.iterdir()):
            raise HostError(
                "folder_in_use",
                f"{target} is the folder of another OSD that had the number {number}: move it away "
                "if it is not needed",
            )
        text = files.keyring_text(f"osd.{number}", secret)
        files.write_file(staged / "keyring", text, 0o600)
        files.write_file(staged / "fsid", self.uuid + "\n", 0o644)
        for link, path in paths.items():
            if path is not None:
                (staged / link).unlink(missing_ok=True)
                (staged / link).symlink_to(path)
                os.chown(staged / link, *files.ids_of("ceph"), follow_symlinks=False)
        staged.rename(target)
        (target / kept.name).unlink()
        files.sync_folder(parent)

    def _new(self, secret: str) -> int:
        connection = self.osds.connect(self.cluster)
        wanted = {"cephx_secret": secret, "crush_device_class": self.spec["device_class"]}
        arguments = {"input": client.json_bytes(wanted), "uuid": self.uuid}
        try:
            return connection.ask("osd new", **arguments)["osdid"]
        except HostError as error:
            if error.code != "ceph_exists":
                raise
        there = self.osds.listing(self.cluster, None).get(self.uuid)
        if there is None or "new" not in there["state"]:
            raise HostError(
                "data_lost",
                f"the cluster knows the OSD {self.uuid}, and its data are not on "
                f"{self.spec['data_device']}: replace it in Corral by one with another uuid",
            )
        # It never ran, and its key went with a folder that is lost.
        connection.bytes("osd purge-new", id=there["id"], yes_i_really_mean_it=True)
        return connection.ask("osd new", **arguments)["osdid"]

    def _found_again(self) -> Folder:
        self.osds.forget()
        folder = self.osds.here(self.uuid)
        if folder is None:
            raise HostError("not_made", f"the OSD {self.uuid} has no folder below {files.LIB}/osd")
        return folder


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
