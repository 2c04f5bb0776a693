"""A key that the cluster knows, with what it may do; for nodes with a monitor.

Spec, named ``<cluster>/<entity>``::

    {"ensure": "present", "caps": {"mon": "profile rbd", ...}, "secret": "AQ...=="}

One listing serves all keys of a run. The key of the monitors themselves (``mon.``) is in no
listing: it is compared with the local monitor's own file, and never changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from corral_host.ceph import client, files, specs
from corral_host.errors import BadSpec
from corral_host.kinds.base import Comparison, Difference, Found, Kind

if TYPE_CHECKING:
    from corral_host.kinds.base import Spec
    from corral_host.session import Session

#: Without these nobody could mend the cluster.
_PROTECTED = ("mon.", "client.admin")


class CephKey(Kind):
    """One entity of ``ceph auth``."""

    name = "ceph_key"
    properties: ClassVar[dict[str, str]] = {
        "caps": "What the key may do, by daemon.",
        "secret": "The key, shown as the first 12 digits of its SHA-256.",
    }

    def __init__(self, session: Session) -> None:
        """Keep one listing for each cluster."""
        super().__init__(session)
        self._listings: dict[str, dict[str, Any]] = {}

    def forget(self) -> None:
        """Drop the listings."""
        self._listings.clear()

    def _listing(self, cluster: str) -> dict[str, Any]:
        """Return entities with ``key`` and ``caps``; nothing when there is no cluster here yet."""
        clusters = client.clusters_of(self.session)
        if not clusters.may_administer(cluster):
            return {}
        if cluster not in self._listings:
            listing = clusters.admin(cluster).ask("auth ls")
            self._listings[cluster] = {one["entity"]: one for one in listing["auth_dump"]}
        return self._listings[cluster]

    def found(self) -> dict[str, Found]:
        """Return the keys of the clusters whose monitors are here, but those of daemons."""
        found = {}
        for cluster in files.clusters_here(self.session):
            if not files.monitors_here(cluster):
                continue
            for entity, one in self._listing(cluster).items():
                if entity.startswith("client."):
                    properties = {
                        "caps": _text(one["caps"]),
                        "secret": str(files.digest(one["key"])),
                    }
                    # Nothing in the cluster tells who made a key.
                    found[f"{cluster}/{entity}"] = Found(
                        managed=False, state="present", properties=properties
                    )
        return found

    def check(self, name: str, spec: Spec) -> None:
        """Raise ``BadSpec``."""
        specs.split_entity(name, "ceph_key")
        specs.checked_secret(spec.get("secret"), f"the secret of {name}")
        caps = spec.get("caps")
        if not isinstance(caps, dict) or not all(
            isinstance(k, str)
            and k.isalpha()
            and isinstance(v, str)
            and '"' not in v
            and "\n" not in v
            for k, v in caps.items()
        ):
            raise BadSpec(f"caps of {name} must be texts by daemon, without quotes")

    def compare(self, name: str, spec: Spec) -> Comparison:
        """Compare with the listing."""
        cluster, entity = specs.split_entity(name, "ceph_key")
        wanted = spec["ensure"] == "present"
        if entity == "mon.":
            return self._compare_monitors(cluster, spec)
        there = self._listing(cluster).get(entity)
        comparison = Comparison(there is not None, wanted)
        if there is None:
            return comparison
        if not wanted:
            if entity in _PROTECTED:
                comparison.refused.append(_needed(entity))
            return comparison
        if there["caps"] != spec["caps"]:
            difference = Difference("caps", _text(there["caps"]), _text(spec["caps"]))
            comparison.differences.append(difference)
        if there["key"] != spec["secret"]:
            difference = Difference(
                "secret", files.digest(there["key"]), files.digest(spec["secret"])
            )
            comparison.differences.append(difference)
        return comparison

    def _compare_monitors(self, cluster: str, spec: Spec) -> Comparison:
        wanted = spec["ensure"] == "present"
        comparison = Comparison(present=True, wanted=wanted)
        if not wanted:
            comparison.refused.append(_needed("mon."))
        for name in files.monitors_here(cluster) if wanted else []:
            keyring = files.LIB / "mon" / f"{cluster}-{name}" / "keyring"
            secret = files.secret_in(keyring, "mon.")
            if secret != spec["secret"]:
                reason = (
                    "all monitors must change their common key at once, while they are stopped: "
                    f"write it into {keyring} by hand"
                )
                current, target = files.digest(secret), files.digest(spec["secret"])
                comparison.refused.append(Difference("secret", current, target, reason))
        return comparison

    def apply(self, name: str, spec: Spec, comparison: Comparison) -> None:
        """Import the key, change its capabilities, or delete it."""
        cluster, entity = specs.split_entity(name, "ceph_key")
        if comparison.refused:
            return
        connection = client.clusters_of(self.session).admin(cluster)
        if not comparison.wanted:
            connection.bytes("auth del", entity=entity)
            return
        changed = {difference.property for difference in comparison.differences}
        if not comparison.present or "secret" in changed:
            text = files.keyring_text(entity, spec["secret"], spec["caps"])
            connection.bytes("auth import", input=text.encode())
        else:
            pairs = [word for pair in sorted(spec["caps"].items()) for word in pair]
            connection.bytes("auth caps", entity=entity, caps=pairs)


def _needed(entity: str) -> Difference:
    reason = f"without {entity} nobody could mend the cluster: it is never deleted"
    return Difference("secret", "present", None, reason)


def _text(caps: dict[str, str]) -> str:
    return ", ".join(f"{daemon} '{may}'" for daemon, may in sorted(caps.items()))
