"""What Corral's document wants of each thing on a host, as the engine ``corral-host`` takes it."""

from __future__ import annotations

from salt.exceptions import CommandExecutionError

#: The plural of each kind of a hypervisor, as the document's section has it.
HYPERVISOR = {
    "secret": "secrets",
    "bridge": "bridges",
    "pool": "pools",
    "volume": "volumes",
    "domain": "domains",
}
CEPH = ("ceph_config", "ceph_keyring", "ceph_mon", "ceph_key", "ceph_osd", "ceph_pool")


def specs(corral: dict) -> dict:
    """Return the specs of a document by kind and name; secrets are among them."""
    found = {kind: section(corral, "hypervisor", key) for kind, key in HYPERVISOR.items()}
    found = {**_ceph(corral), **found}
    return {**found, "document": _applied(corral, found)}


def section(corral: dict, *path: str) -> dict:
    """Return a section of the document; {} for one that is not there or is null.

    Raises ``CommandExecutionError`` for one that is no mapping: nothing in it may be overlooked.
    """
    found = corral
    for key in path:
        found = found.get(key)
        if found is None:
            return {}
        if not isinstance(found, dict):
            where = ":".join(("corral", *path))
            raise CommandExecutionError(f"Corral: {where} is no mapping. Nothing was changed.")
    return found


def _ceph(corral: dict) -> dict:
    mon, osd = section(corral, "ceph", "mon"), section(corral, "ceph", "osd")
    client = section(corral, "ceph", "client")
    found: dict = {kind: {} for kind in CEPH}
    for part in (*section(client, "clusters").values(), mon, osd):
        # A client's cluster has its data beside its peers; sections of MONs and OSDs have it apart.
        cluster = part.get("cluster") or {k: v for k, v in part.items() if k != "peers"}
        if "fsid" in cluster:
            spec = {"ensure": "present", "cluster": cluster, "peers": part.get("peers") or {}}
            found["ceph_config"][cluster["name"]] = spec
    for cluster, keys in section(client, "keys").items():
        for entity, key in keys.items():
            found["ceph_keyring"][f"{cluster}/{entity}"] = key
    cluster = section(mon, "cluster").get("name", "ceph")
    keys = section(mon, "keys")
    if keys.get("client.admin", {}).get("ensure") == "present":
        found["ceph_keyring"][f"{cluster}/client.admin"] = keys["client.admin"]
    found["ceph_key"] = {f"{cluster}/{entity}": key for entity, key in keys.items()}
    pools = section(mon, "pools")
    found["ceph_pool"] = {f"{cluster}/{name}": pool for name, pool in pools.items()}
    about = {key: mon[key] for key in ("cluster", "peers", "keys") if key in mon}
    for name, peer in section(mon, "peers").items():
        # The others are peers only. One that is absent stands in the document of its own node.
        if peer.get("ensure") == "absent" or peer.get("host") == corral["node"]:
            found["ceph_mon"][name] = {**about, **peer}
    cluster = section(osd, "cluster").get("name", "ceph")
    for entity, key in section(osd, "keys").items():
        found["ceph_keyring"][f"{cluster}/{entity}"] = key
    about = {"cluster": osd["cluster"]} if "cluster" in osd else {}
    found["ceph_osd"] = {uuid: {**about, **one} for uuid, one in section(osd, "osds").items()}
    return found


def _applied(corral: dict, specs: dict) -> dict:
    """Return the last thing of a run: it notes what was applied, when all that is gone is gone."""
    absent = [
        {"kind": kind, "name": name, "spec": spec}
        for kind, of_kind in specs.items()
        for name, spec in of_kind.items()
        if isinstance(spec, dict) and spec.get("ensure") == "absent"
    ]
    about = {key: corral.get(key) for key in ("node", "roles", "site")}
    version = corral["document"]
    return {version: {"ensure": "present", "version": version, **about, "absent": absent}}
