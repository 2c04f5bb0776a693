"""RBD images: pools of type rbd, by Ceph's own library over one connection.

libvirt would open the cluster anew for each image that it is asked about. Images carry their mark
in their metadata (``rbd image-meta get <image> corral``), for all hosts of the cluster; the mark on
this host is for those that have no key.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from corral_host.errors import HostError
from corral_host.kinds import volume_convert as convert
from corral_host.kinds.volume_marks import Marks
from corral_host.kinds.volume_store import State, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from corral_host.session import Session

#: End of the name of an image that is still being made.
PARTIAL = ".corral"
MARK = "corral"
#: Images up to which libvirt is made to read the pool anew: it opens each, at about 5 ms.
FEW = 200
#: Seconds after which a cluster counts as unreachable.
TIMEOUT = "20"


class RbdImages(Store):
    """The images of one Ceph pool."""

    def __init__(self, session: Session, pool: Any) -> None:  # noqa: ANN401
        """Connect. Raises ``HostError``."""
        super().__init__(session, pool, shared=True)
        root = ET.fromstring(pool.XMLDesc(0))  # noqa: S314 - libvirt's
        self.ceph_pool = root.findtext("source/name") or pool.name()
        self._options = _options(session, root)
        self._user = self._options.pop("id")
        import rados  # noqa: PLC0415 - hosts without Ceph have none
        import rbd  # noqa: PLC0415

        self._rbd = rbd
        self._failures = (rbd.Error, rados.Error)
        conf = {key: value for key, value in self._options.items() if key != "conf"}
        timeouts = ("client_mount_timeout", "rados_mon_op_timeout", "rados_osd_op_timeout")
        with self._errors("cannot be reached", "pool_unreachable"):
            self._cluster = rados.Rados(
                rados_id=self._user,
                conffile=self._options["conf"],
                conf={**conf, **dict.fromkeys(timeouts, TIMEOUT)},
            )
            self._cluster.connect()
            self._io = self._cluster.open_ioctx(self.ceph_pool)
        self.marks = Marks(session.settings.state_dir, pool.name())
        self._tell_libvirt()

    def _tell_libvirt(self) -> None:
        """Have libvirt see the images that came and went since it looked, for its other users."""
        import libvirt  # noqa: PLC0415

        names = self.names()
        if len(names) <= FEW and {one.name() for one in self.pool.listAllVolumes()} != {*names}:
            # Theirs is no reason for this run to fail.
            with contextlib.suppress(libvirt.libvirtError):
                self.pool.refresh()

    def names(self) -> list[str]:
        """Return the names of all images, without those that are being made."""
        with self._errors("cannot be listed"):
            names = self._rbd.RBD().list(self._io)
        return [one for one in names if not one.endswith(PARTIAL)]

    def state(self, name: str) -> State | None:
        """Return an image."""
        try:
            with self._errors(f"{name} cannot be read"), self._open(name, read_only=True) as image:
                try:
                    image.metadata_get(MARK)
                    managed = True
                except KeyError:
                    managed = False
                return State(image.size(), "raw", managed)
        except self._rbd.ImageNotFound:
            return None

    def partial(self, name: str) -> bool:
        """Return whether there is the beginning of an image that was never finished."""
        return self.state(name + PARTIAL) is not None

    def place(self, name: str) -> str:
        """Return what a domain's disk calls it."""
        return f"{self.ceph_pool}/{name}"

    def adopt(self, name: str, form: str) -> None:
        """Mark an image as ours that we did not make."""
        with self._errors(f"{name} cannot be marked"), self._open(name) as image:
            image.metadata_set(MARK, json.dumps({"format": form, "adopted": True}))
        self.marks.put(name, {"format": form, "adopted": True})

    def create(self, name: str, spec: dict[str, Any], form: str) -> None:
        """Make an empty one: it has its mark when it gets its name."""
        self._begin(name, spec["size"], form)
        self._finish(name, form)

    def fill(self, name: str, spec: dict[str, Any], form: str, image: Path) -> None:
        """Make one of an image."""
        self._begin(name, spec["size"], form)
        options = "".join(f":{key}={_escaped(value)}" for key, value in self._options.items())
        target = f"rbd:{_escaped(self.ceph_pool)}/{_escaped(name + PARTIAL)}:id={self._user}"
        kind = spec["filled_from"]["type"]
        convert.copy_onto(self.session, image, kind, target + options, zero=True)
        self._finish(name, form)

    def grow(self, name: str, form: str, size: int) -> None:  # noqa: ARG002 - of all stores
        """Enlarge it."""
        with self._errors(f"{name} cannot be enlarged"), self._open(name) as image:
            image.resize(size)

    def delete(self, name: str) -> None:
        """Remove it with its mark, and its beginning."""
        self._remove(name + PARTIAL)
        self._remove(name)
        self.marks.drop(name)

    def _begin(self, name: str, size: int, form: str) -> None:
        partial = name + PARTIAL
        self._remove(partial)
        with self._errors(f"{name} cannot be made"):
            self._rbd.RBD().create(self._io, partial, size, old_format=False)
            with self._open(partial) as image:
                image.metadata_set(MARK, json.dumps({"format": form, "adopted": False}))

    def _finish(self, name: str, form: str) -> None:
        self.marks.put(name, {"format": form, "adopted": False})
        # Fails when there is an image of that name.
        with self._errors(f"{name} cannot get its name"):
            self._rbd.RBD().rename(self._io, name + PARTIAL, name)

    def _remove(self, name: str) -> None:
        said = f"{name} cannot be removed: is it in use, or has it snapshots?"
        with contextlib.suppress(self._rbd.ImageNotFound), self._errors(said):
            self._rbd.RBD().remove(self._io, name)

    def _open(self, name: str, *, read_only: bool = False) -> Any:  # noqa: ANN401
        return self._rbd.Image(self._io, name, read_only=read_only)

    @contextlib.contextmanager
    def _errors(self, what: str, code: str = "volume_failed") -> Iterator[None]:
        """Turn Ceph's errors into ours, but that an image is not there."""
        try:
            yield
        except self._rbd.ImageNotFound:
            raise
        except self._failures as error:
            where = f"in the Ceph pool {self.ceph_pool}: " if code == "volume_failed" else ""
            said = what if where else f"the Ceph pool {self.ceph_pool} {what}"
            raise HostError(code, f"{where}{said}: {error}") from error


def _options(session: Session, root: ET.Element) -> dict[str, str]:
    """Return how to reach the cluster: what ``rbd`` would call id, conf, keyring and mon_host."""
    import libvirt  # noqa: PLC0415

    hosts = [(one.get("name", ""), one.get("port")) for one in root.findall("source/host")]
    options = {"conf": "/dev/null"}
    if hosts:
        options["mon_host"] = ",".join(_address(*one) for one in hosts)
    auth = root.find("source/auth")
    cluster = "ceph"
    if auth is None:
        options |= {"id": "admin", "auth_client_required": "none"}
    else:
        user = auth.get("username", "")
        secret = auth.find("secret")
        if secret is not None and secret.get("uuid"):
            with contextlib.suppress(libvirt.libvirtError):
                kept = session.libvirt().secretLookupByUUIDString(secret.get("uuid"))
                # The documents call it "<cluster> client.<user>".
                named, _, entity = kept.usageID().partition(" ")
                cluster = named if entity == f"client.{user}" else cluster
        keyring = session.settings.ceph_dir / f"{cluster}.client.{user}.keyring"
        if not keyring.exists():
            raise HostError(
                "no_keyring",
                f"{keyring} is missing: without the key of client.{user} its images are unknown",
            )
        options |= {"id": user, "keyring": str(keyring)}
    conf = session.settings.ceph_dir / f"{cluster}.conf"
    if conf.exists():
        options["conf"] = str(conf)
    return options


def _address(host: str, port: str | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{name}:{port}" if port else name


def _escaped(text: str) -> str:
    """Escape what separates options in QEMU's names of RBD images."""
    return "".join(f"\\{one}" if one in ":@=\\/" else one for one in text)
