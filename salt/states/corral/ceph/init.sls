#!py
"""What each node with anything of Ceph needs: its clusters' configuration, and keys in files."""


def run() -> dict:
    """Return the states; raise, and so fail the run, without a good pillar."""
    if "corral.build" not in __salt__:
        raise KeyError("Corral: this minion has no module 'corral'; run saltutil.sync_all first")
    states = __salt__["corral.build"]("ceph", "ceph_config", "ceph_keyring")
    return {"include": ["corral.prepare"], **states}
