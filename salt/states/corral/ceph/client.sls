#!py
"""A client of Ceph: what it needs to know of the cluster, as /etc/corral/ceph-client.json."""

import json


def run() -> dict:
    """Return the states; raise, and so fail the run, without a good pillar."""
    if "corral.document" not in __salt__:
        raise KeyError("Corral: this minion has no module 'corral'; run saltutil.sync_all first")
    section = __salt__["corral.section"]("ceph", "client")
    directory = __salt__["corral.directory"]()
    contents = json.dumps(section, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return {
        "corral: folder for ceph-client": {
            "file.directory": [{"name": directory}, {"makedirs": True}],
        },
        "corral: ceph-client": {
            "corral.file": [
                {"name": f"{directory}/ceph-client.json"},
                {"contents": contents},
                {"require": [{"file": "corral: folder for ceph-client"}]},
            ],
        },
    }
