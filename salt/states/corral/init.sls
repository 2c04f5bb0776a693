#!py
"""The whole node: a state for each of its roles, then /etc/corral/document.json.

The file says which version was applied, so it is written last, and only when all else went well.
"""

import json


def run() -> dict:
    """Return the states; raise, and so fail the run, without a good pillar."""
    if "corral.document" not in __salt__:
        raise KeyError("Corral: this minion has no module 'corral'; run saltutil.sync_all first")
    document = __salt__["corral.document"]()
    directory = __salt__["corral.directory"]()
    states = __salt__["corral.states"]()
    applied = {key: document.get(key) for key in ("document", "node", "roles", "site")}
    requisites = [{"sls": state} for state in states]
    return {
        "include": states,
        "corral: document": {
            "corral.file": [
                {"name": f"{directory}/document.json"},
                {"contents": json.dumps(applied, indent=2, ensure_ascii=False) + "\n"},
                {"require": requisites},
            ],
        },
    }
