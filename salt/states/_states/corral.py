"""Make things on this host what Corral's document says: one state for each kind of thing.

.. code-block:: yaml

    corral: domain vm-7:
      corral.domain:
        - name: vm-7

Only the name is given: what is wanted, whether the thing should be there at all among it, comes
from the pillar. ``changes`` has ``{property: {"old": ..., "new": ...}}``, and ``ensure`` for a
thing that is made or removed. No text in it holds a secret: a key is shown by its digest. With
``test=True`` they are those that would be made. What waits for a domain's next start is not a
change: it stands in the comment and under ``pending``, as the engine's differences. What the engine
refuses fails the state, with the reason, after all else of it was applied.
"""

from __future__ import annotations

from salt.exceptions import CommandExecutionError

#: Key of ``__context__`` below which the execution module ``corral_host`` keeps its engine.
_KEPT = "corral_host.kept"


def check(name: str) -> dict:
    """Fail when any part of the document cannot be right, ``name`` being its version.

    All other states require it, so that a bad document changes nothing.
    """
    _keep()
    try:
        if _too_early():
            return _early(name)
        checked = __context__.get("corral.checked") == name
        wrong = [] if checked else __salt__["corral.check"]()
    except CommandExecutionError as error:
        return _result(name, result=False, comment=str(error))
    if wrong:
        lines = [f"{one['kind']} {one['name']}: {one['message']}" for one in wrong]
        return _result(name, result=False, comment="The document is wrong:\n" + "\n".join(lines))
    return _result(name, result=True, comment="The document can be applied")


def ceph_config(name: str) -> dict:
    """Write the configuration of the Ceph cluster ``name``."""
    return _ensure("ceph_config", name)


def ceph_keyring(name: str) -> dict:
    """Write the key of ``cluster/entity`` to a file of its own."""
    return _ensure("ceph_keyring", name)


def ceph_mon(name: str) -> dict:
    """Run the Ceph monitor ``name`` and the manager beside it."""
    return _ensure("ceph_mon", name)


def ceph_key(name: str) -> dict:
    """Let the entity of ``cluster/entity`` do in its cluster what the document says."""
    return _ensure("ceph_key", name)


def ceph_osd(name: str) -> dict:
    """Run the Ceph OSD with the uuid ``name``."""
    return _ensure("ceph_osd", name)


def ceph_pool(name: str) -> dict:
    """Have the Ceph pool of ``cluster/pool``."""
    return _ensure("ceph_pool", name)


def secret(name: str) -> dict:
    """Give libvirt the secret with the uuid ``name``."""
    return _ensure("secret", name)


def bridge(name: str) -> dict:
    """Have the bridge ``name`` with its ports, addresses and routes."""
    return _ensure("bridge", name)


def pool(name: str) -> dict:
    """Have the storage pool ``name`` of libvirt."""
    return _ensure("pool", name)


def volume(name: str) -> dict:
    """Have the volume ``name``. It is never made smaller; what is absent loses its data."""
    return _ensure("volume", name)


def domain(name: str) -> dict:
    """Have the virtual machine ``name`` as libvirt's domain, in the state that it should be in."""
    return _ensure("domain", name)


def document(name: str) -> dict:
    """Note that the version ``name`` of the document was applied. The last state of a run."""
    return _ensure("document", name)


def _ensure(kind: str, name: str) -> dict:
    kept = _keep()
    try:
        if _too_early():
            return _early(name)
        before = _before(kept, kind, name)
        if before.get("error"):
            return _result(name, result=False, comment=before["error"]["message"])
        if __opts__["test"]:
            return _would(name, before)
        if not _differs(before) and not before["refused"]:
            return _done(name, before, {}, "As it should be")
        return _apply(kept, kind, name, before)
    except CommandExecutionError as error:
        return _result(name, result=False, comment=str(error))


def _keep() -> dict:
    """Return what this run keeps: the engine, and the comparisons of a kind until it changes."""
    return __context__.setdefault(_KEPT, {"compared": {}, "changing": None})


def _too_early() -> bool:
    """Return whether this is only asked before a first run, which would install the engine."""
    return __opts__["test"] and not __salt__["corral_host.installed"]()


def _early(name: str) -> dict:
    comment = "corral-host is not installed yet; nobody can tell what it would change"
    return {**_result(name, result=True, comment=comment), "result": None}


def _before(kept: dict, kind: str, name: str) -> dict:
    """Compare one thing: with all others of its kind at once, as long as nothing was applied."""
    if kept["changing"] == kind:
        return __salt__["corral.compare"](kind, name)[name]
    compared = kept["compared"]
    if name not in compared.get(kind, {}):
        compared[kind] = __salt__["corral.compare"](kind)
    if name not in compared[kind]:
        raise CommandExecutionError(f"The document has no {kind} {name!r}")
    return compared[kind][name]


def _apply(kept: dict, kind: str, name: str, before: dict) -> dict:
    # Whatever is changed may change how other things compare.
    kept["compared"].clear()
    kept["changing"] = kind
    try:
        before = __salt__["corral.apply"](kind, name)
    except CommandExecutionError as error:
        after = __salt__["corral.compare"](kind, name)[name]
        left = {one["property"] for one in after.get("differences", ())}
        done = {key: value for key, value in _changes(before).items() if key not in left}
        if after.get("present") != before["wanted"]:
            done.pop("ensure", None)
        return _result(name, result=False, comment=str(error), changes=done)
    changes = _changes(before)
    return _done(name, before, changes, "Applied" if changes else "As it should be")


def _would(name: str, before: dict) -> dict:
    changes = _changes(before)
    if before["refused"]:
        comment = "; ".join(f"{one['property']}: {one['reason']}" for one in before["refused"])
        return _result(name, result=False, comment=comment, changes=changes)
    if changes:
        comment = "Would change " + ", ".join(changes)
        return {**_done(name, before, changes, comment), "result": None}
    return _done(name, before, {}, "As it should be")


def _done(name: str, before: dict, changes: dict, comment: str) -> dict:
    lines = [comment]
    for one in before["pending"]:
        reason = f" ({one['reason']})" if one.get("reason") else ""
        waits = f"{one['property']} {one['current']} -> {one['wanted']}{reason}"
        lines.append(f"Waits for the next start: {waits}")
    result = _result(name, result=True, comment="\n".join(lines), changes=changes)
    # Salt hands on what it does not know; Corral reads it from the report.
    return {**result, "pending": before["pending"]} if before["pending"] else result


def _differs(compared: dict) -> bool:
    return bool(compared["differences"]) or compared["present"] != compared["wanted"]


def _changes(compared: dict) -> dict:
    changes = {}
    if compared["present"] != compared["wanted"]:
        words = {True: "present", False: "absent"}
        changes["ensure"] = {"old": words[compared["present"]], "new": words[compared["wanted"]]}
    for one in compared["differences"]:
        changes[one["property"]] = {"old": one["current"], "new": one["wanted"]}
    return changes


def _result(name: str, *, result: bool, comment: str, changes: dict | None = None) -> dict:
    return {"name": name, "result": result, "comment": comment, "changes": changes or {}}
