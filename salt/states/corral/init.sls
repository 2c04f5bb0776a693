#!py
"""The whole node: the states of each of its roles, then `corral: document`.

That one notes which version was applied, so it comes last, and only when all else went well.
"""


def run() -> dict:
    """Return the states; raise, and so fail the run, without a good pillar."""
    if "corral.build" not in __salt__:
        raise KeyError("Corral: this minion has no module 'corral'; run saltutil.sync_all first")
    states = ["corral.prepare", *__salt__["corral.states"]()]
    return {
        "include": states,
        "corral: document": {
            "corral.document": [
                {"name": __salt__["corral.version"]()},
                {"order": 29999},
                {"require": [{"sls": state} for state in states]},
            ],
        },
    }
