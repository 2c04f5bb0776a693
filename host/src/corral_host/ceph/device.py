"""The device of an OSD: what is on it, and how an OSD is made on it.

Block devices go through ``ceph-volume lvm``, which brings the OSD up at boot too. An existing
regular file is for development and tests: BlueStore writes to it directly.
"""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corral_host.errors import HostError

if TYPE_CHECKING:
    from corral_host.session import Session


@dataclass(frozen=True)
class Device:
    """What a device holds."""

    path: str
    #: block, file, or none when there is nothing at the path.
    kind: str
    #: BlueStore's label: osd_uuid, whoami, ceph_fsid, osd_key, mkfs_done ...
    label: dict[str, str]
    #: Everything else that would be lost, for people.
    contents: str

    def refusal(self, uuid: str, fsid: str | None) -> str | None:
        """Return why the OSD must not be made here, or ``None``."""
        if self.kind == "none":
            return f"there is no device or file {self.path}"
        owner = self.label.get("osd_uuid")
        if owner is not None and owner != uuid:
            return (
                f"{self.path} holds the data of osd.{self.label.get('whoami', '?')} ({owner}) of "
                f"the cluster {self.label.get('ceph_fsid', '?')}: wipe it if they are not needed"
            )
        if owner is not None and fsid and self.label.get("ceph_fsid", fsid) != fsid:
            return f"{self.path} belongs to the cluster {self.label['ceph_fsid']}"
        if self.contents:
            return f"{self.path} holds {self.contents}: wipe it if that is not needed"
        return None


def examine(session: Session, path: str, uuid: str) -> Device:
    """Look at a device without changing it."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return Device(path, "none", {}, "")
    kind = "block" if stat.S_ISBLK(mode) else "file" if stat.S_ISREG(mode) else "none"
    if kind == "none":
        return Device(path, "none", {}, "")
    if kind == "block" and uuid in volumes(session):
        # It is ours already, below LVM.
        return Device(path, kind, {"osd_uuid": uuid}, "")
    done = session.run(["ceph-bluestore-tool", "show-label", "--dev", path], check=False)
    label = json.loads(done.stdout)[path] if done.returncode == 0 else {}
    found = json.loads(session.run(["wipefs", "--no-act", "--json", path]).stdout or "{}")
    signatures = {one["type"] for one in found.get("signatures", [])}
    if label:
        signatures.discard("ceph_bluestore")
    return Device(path, kind, label, _named(session, path, kind, signatures))


def _named(session: Session, path: str, kind: str, signatures: set[str]) -> str:
    what = sorted(signatures)
    if kind == "block":
        # Partitions and volumes of a device whose own signature wipefs does not know.
        words = session.run(["lsblk", "--noheadings", "--raw", "--output", "NAME,MOUNTPOINT", path])
        below = words.stdout.decode().split("\n")
        what += [line.strip() for line in below[1:] if line.strip()]
        what += [f"a mount at {below[0].split()[1]}"] if len(below[0].split()) > 1 else []
    return ", ".join(what)


def volumes(session: Session) -> dict[str, dict[str, Any]]:
    """Return the OSDs that ceph-volume made on this host, by uuid, with ``id`` and ``cluster``."""
    try:
        done = session.run(["ceph-volume", "lvm", "list", "--format", "json"], check=False)
    except HostError:
        return {}
    if done.returncode != 0 or not done.stdout.strip():
        return {}
    found = {}
    for number, parts in json.loads(done.stdout).items():
        for part in parts:
            tags = part.get("tags", {})
            if part.get("type") == "block" and "ceph.osd_fsid" in tags:
                cluster = tags.get("specs.cluster_name", "ceph")
                found[tags["ceph.osd_fsid"]] = {"id": int(number), "cluster": cluster}
    return found


def prepare_volume(session: Session, cluster: str, uuid: str, spec: dict[str, Any]) -> int:
    """Make an OSD on a block device and return its number; it is not started yet."""
    command = ["ceph-volume", "--cluster", cluster, "lvm", "prepare", "--bluestore"]
    command += ["--osd-fsid", uuid, "--data", spec["data_device"]]
    command += ["--crush-device-class", spec["device_class"]]
    if spec.get("db_device"):
        command += ["--block.db", spec["db_device"]]
    session.run(command, timeout=900)
    return volumes(session)[uuid]["id"]


def activate_volume(
    session: Session, cluster: str, uuid: str, number: int, *, systemd: bool
) -> None:
    """Mount the OSD's folder; with systemd it is also started, now and at boot."""
    command = ["ceph-volume", "--cluster", cluster, "lvm", "activate", "--bluestore"]
    command += [] if systemd else ["--no-systemd"]
    session.run([*command, str(number), uuid], timeout=300)
