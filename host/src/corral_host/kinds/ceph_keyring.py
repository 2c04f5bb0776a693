"""A key in a file: ``/etc/ceph/<cluster>.<entity>.keyring``.

The keys of client.bootstrap-* lie where Ceph's tools look for them,
``/var/lib/ceph/bootstrap-osd/<cluster>.keyring``. Spec::

    {"ensure": "present", "secret": "AQ...=="}

named ``<cluster>/<entity>``. What the key may do is the monitors' business (``ceph_key``).
"""

from __future__ import annotations

import pwd
import stat
from typing import TYPE_CHECKING, ClassVar

from corral_host.ceph import files, specs
from corral_host.kinds.base import Comparison, Difference, Found, Kind

if TYPE_CHECKING:
    from pathlib import Path

    from corral_host.kinds.base import Spec

_MODE = 0o600


class CephKeyring(Kind):
    """One file with one key."""

    name = "ceph_keyring"
    properties: ClassVar[dict[str, str]] = {
        "secret": "The key, shown as the first 12 digits of its SHA-256.",
        "mode": "Mode and owner of the file.",
    }

    def found(self) -> dict[str, Found]:
        """Return the keyrings of the clusters that this host has a configuration of."""
        found = {}
        for cluster in files.clusters_here(self.session):
            paths = [
                *self.session.settings.ceph_dir.glob(f"{cluster}.*.keyring"),
                *files.LIB.glob(f"bootstrap-*/{cluster}.keyring"),
            ]
            for path in sorted(paths):
                text = files.read_text(path) or ""
                for entity, options in files.parse_sections(text).items():
                    properties = {
                        "secret": files.digest(options.get("key")) or "none",
                        "mode": _mode(path) or "",
                    }
                    managed = text.startswith(files.MARK)
                    detail = {"path": str(path)}
                    found[f"{cluster}/{entity}"] = Found(managed, "present", properties, detail)
        return found

    def check(self, name: str, spec: Spec) -> None:
        """Raise ``BadSpec``."""
        specs.split_entity(name, "ceph_keyring")
        specs.checked_secret(spec.get("secret"), f"the secret of {name}")

    def compare(self, name: str, spec: Spec) -> Comparison:
        """Compare the key, and who may read it."""
        cluster, entity = specs.split_entity(name, "ceph_keyring")
        path = files.keyring_path(self.session, cluster, entity)
        text = files.read_text(path)
        comparison = Comparison(text is not None, spec["ensure"] == "present")
        if text is None:
            return comparison
        if not comparison.wanted:
            if not text.startswith(files.MARK):
                reason = f"{path} was not written by Corral"
                comparison.refused.append(Difference("secret", "present", "absent", reason))
            return comparison
        secret, wanted = files.secret_in(path, entity), spec["secret"]
        if secret != wanted:
            difference = Difference("secret", files.digest(secret), files.digest(wanted))
            comparison.differences.append(difference)
        mode, target = _mode(path), f"0{_MODE:o} {_user(entity)}"
        if mode != target:
            comparison.differences.append(Difference("mode", mode, target))
        return comparison

    def apply(self, name: str, spec: Spec, comparison: Comparison) -> None:
        """Write the file at once, or remove it."""
        cluster, entity = specs.split_entity(name, "ceph_keyring")
        path = files.keyring_path(self.session, cluster, entity)
        if comparison.refused:
            return
        if not comparison.wanted:
            path.unlink()
            return
        text = files.MARK + "\n" + files.keyring_text(entity, spec["secret"])
        if not path.parent.exists():
            files.own_folder(path.parent)
        files.write_file(path, text, _MODE, _user(entity))


def _user(entity: str) -> str:
    """Ceph's own tools run as ceph; the keys of clients are root's."""
    return "ceph" if entity.startswith("client.bootstrap-") else "root"


def _mode(path: Path) -> str | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    return f"0{stat.S_IMODE(status.st_mode):o} {owner}"
