"""A pool of a Ceph cluster; for nodes with a monitor.

Spec, named ``<cluster>/<pool>``::

    {"ensure": "present", "size": 3, "min_size": 2, "pg_num": 64, "application": "rbd"}

One listing serves all pools of a run. Corral never deletes a pool: there is no way back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from corral_host.ceph import client, files, specs
from corral_host.errors import BadSpec
from corral_host.kinds.base import Comparison, Difference, Found, Kind

if TYPE_CHECKING:
    from corral_host.kinds.base import Spec
    from corral_host.session import Session

_NUMBERS = ("size", "min_size", "pg_num")


class CephPool(Kind):
    """One replicated pool."""

    name = "ceph_pool"
    properties: ClassVar[dict[str, str]] = {
        "size": "Copies of each object.",
        "min_size": "Copies that must be there for I/O.",
        "pg_num": "Placement groups, as a fixed number: the autoscaler is off.",
        "application": "What uses the pool.",
    }

    def __init__(self, session: Session) -> None:
        """Keep one listing for each cluster."""
        super().__init__(session)
        self._listings: dict[str, dict[str, Any]] = {}

    def forget(self) -> None:
        """Drop the listings."""
        self._listings.clear()

    def _listing(self, cluster: str) -> dict[str, Any]:
        clusters = client.clusters_of(self.session)
        if not clusters.may_administer(cluster):
            return {}
        if cluster not in self._listings:
            listing = clusters.admin(cluster).ask("osd pool ls", detail="detail")
            self._listings[cluster] = {one["pool_name"]: one for one in listing}
        return self._listings[cluster]

    def found(self) -> dict[str, Found]:
        """Return the pools of the clusters whose monitors are here."""
        found = {}
        for cluster in files.clusters_here(self.session):
            if not files.monitors_here(cluster):
                continue
            for name, one in self._listing(cluster).items():
                # Nothing in the cluster tells who made a pool.
                found[f"{cluster}/{name}"] = Found(
                    managed=False,
                    state="present",
                    properties=_properties(one),
                    detail={"id": one["pool_id"]},
                )
        return found

    def check(self, name: str, spec: Spec) -> None:
        """Raise ``BadSpec``."""
        specs.checked_name(specs.split_name(name, "ceph_pool")[1], "ceph_pool")
        for field in _NUMBERS:
            if type(spec.get(field)) is not int or spec[field] < 1:
                raise BadSpec(f"{field} of {name} must be a number above 0")
        if spec["min_size"] > spec["size"]:
            raise BadSpec(f"min_size of {name} must be at most its size")
        specs.checked_name(spec.get("application"), f"application of {name}")

    def compare(self, name: str, spec: Spec) -> Comparison:
        """Compare with the listing."""
        cluster, pool = specs.split_name(name, "ceph_pool")
        there = self._listing(cluster).get(pool)
        comparison = Comparison(there is not None, spec["ensure"] == "present")
        if there is None:
            return comparison
        if not comparison.wanted:
            reason = (
                f"Corral never deletes a pool with what is in it: ceph osd pool rm {pool}, "
                "when it is sure that nobody needs it"
            )
            comparison.refused.append(Difference("size", "present", None, reason))
            return comparison
        for field, current in _properties(there).items():
            wanted = str(spec[field])
            if field == "application" and wanted in there["application_metadata"]:
                continue
            if current != wanted:
                comparison.differences.append(Difference(field, current, wanted))
        return comparison

    def apply(self, name: str, spec: Spec, comparison: Comparison) -> None:
        """Make the pool or change what differs."""
        cluster, pool = specs.split_name(name, "ceph_pool")
        if comparison.refused:
            return
        connection = client.clusters_of(self.session).admin(cluster)
        changed = {difference.property for difference in comparison.differences}
        if not comparison.present:
            connection.bytes(
                "osd pool create",
                pool=pool,
                pool_type="replicated",
                pg_num=spec["pg_num"],
                pgp_num=spec["pg_num"],
                autoscale_mode="off",
                # Saves the second that a change takes.
                **({"size": spec["size"]} if spec["size"] > 1 else {}),
            )
            self.forget()
            there = self._listing(cluster)[pool]
            current = _properties(there)
            changed = {field for field in current if current[field] != str(spec[field])}

        def put(option: str, value: object) -> None:
            sure = {"yes_i_really_mean_it": True} if option == "size" and value == 1 else {}
            connection.bytes("osd pool set", pool=pool, var=option, val=str(value), **sure)

        if "size" in changed:
            if spec["size"] == 1:
                # Ceph asks twice for a pool without copies; the document says that it is meant.
                connection.bytes(
                    "config set", who="mon", name="mon_allow_pool_size_one", value="true"
                )
            put("size", spec["size"])
        # A new size brings a min_size of its own.
        if changed & {"size", "min_size"}:
            put("min_size", spec["min_size"])
        if "pg_num" in changed:
            put("pg_autoscale_mode", "off")
            put("pg_num", spec["pg_num"])
        if "application" in changed:
            connection.bytes(
                "osd pool application enable",
                pool=pool,
                app=spec["application"],
                yes_i_really_mean_it=True,
            )


def _properties(pool: dict[str, Any]) -> dict[str, str]:
    scaled = pool.get("pg_autoscale_mode", "off")
    # The cluster comes nearer to the target by and by.
    groups = str(pool.get("pg_num_target", pool["pg_num"]))
    return {
        "size": str(pool["size"]),
        "min_size": str(pool["min_size"]),
        "pg_num": groups if scaled == "off" else f"{groups}, autoscaler {scaled}",
        "application": ",".join(sorted(pool.get("application_metadata", {}))) or "none",
    }
