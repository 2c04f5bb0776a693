#!py
"""A Ceph OSD node: what it needs to know of its cluster, for now as /etc/corral/ceph-osd.json."""

import json


def run() -> dict:
    """Return the states; raise, and so fail the run, without a good pillar."""
    if "corral.document" not in __salt__:
        raise KeyError("Corral: this minion has no module 'corral'; run saltutil.sync_all first")
    section = __salt__["corral.section"]("ceph", "osd")
    directory = __salt__["corral.directory"]()
    contents = json.dumps(section, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return {
        "corral: folder for ceph-osd": {
            "file.directory": [{"name": directory}, {"makedirs": True}],
        },
        "corral: ceph-osd": {
            "corral.file": [
                {"name": f"{directory}/ceph-osd.json"},
                {"contents": contents},
                {"require": [{"file": "corral: folder for ceph-osd"}]},
            ],
        },
    }
