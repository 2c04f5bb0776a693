#!py
"""A Ceph monitor: what it needs to know of its cluster, for now as /etc/corral/ceph-mon.json."""

import json


def run() -> dict:
    """Return the states; raise, and so fail the run, without a good pillar."""
    if "corral.document" not in __salt__:
        raise KeyError("Corral: this minion has no module 'corral'; run saltutil.sync_all first")
    section = __salt__["corral.section"]("ceph", "mon")
    directory = __salt__["corral.directory"]()
    contents = json.dumps(section, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return {
        "corral: folder for ceph-mon": {
            "file.directory": [{"name": directory}, {"makedirs": True}],
        },
        "corral: ceph-mon": {
            "corral.file": [
                {"name": f"{directory}/ceph-mon.json"},
                {"contents": contents},
                {"require": [{"file": "corral: folder for ceph-mon"}]},
            ],
        },
    }
