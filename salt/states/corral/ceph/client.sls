#!py
"""A client of Ceph: it needs the configuration and keys that corral.ceph writes."""


def run() -> dict:
    """Return the states; raise, and so fail the run, without a good pillar."""
    if "corral.build" not in __salt__:
        raise KeyError("Corral: this minion has no module 'corral'; run saltutil.sync_all first")
    return {"include": ["corral.ceph"], **__salt__["corral.build"]("ceph:client")}
