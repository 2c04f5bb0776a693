"""Read what Corral says of this minion from its pillar, or fail.

The state tree asks these functions and never the pillar itself, so that a pillar that is missing,
broken or another node's fails the run in one place and with one wording.
"""

from __future__ import annotations

import re

from salt.exceptions import CommandExecutionError

#: The state of each role. A role that is not here needs a newer state tree.
_STATE_OF_ROLE = {
    "hypervisor": "corral.hypervisor",
    "ceph_mon": "corral.ceph.mon",
    "ceph_osd": "corral.ceph.osd",
}
_STATE_OF_SECTION = {
    ("hypervisor",): "corral.hypervisor",
    ("ceph", "mon"): "corral.ceph.mon",
    ("ceph", "osd"): "corral.ceph.osd",
    ("ceph", "client"): "corral.ceph.client",
}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")


def document() -> dict:
    """Return the node's document: ``document`` (its version), ``node``, ``roles`` and sections.

    Raises ``CommandExecutionError`` when the pillar holds no good one.

    .. code-block:: bash

        salt hv1.example.net corral.document
    """
    errors = __pillar__.get("_errors")
    if errors:
        _fail("the pillar has errors: " + "; ".join(str(error) for error in errors))
    corral = __pillar__.get("corral")
    if not isinstance(corral, dict):
        _fail("the pillar has no 'corral': set up ext_pillar 'corral' on the Salt master")
    if corral.get("node") != __opts__["id"]:
        _fail(f"the pillar is for {corral.get('node')!r}")
    roles = corral.get("roles")
    if not isinstance(corral.get("document"), str) or not isinstance(roles, list) or not roles:
        _fail("the pillar has no version or no roles")
    return corral


def version() -> str:
    """Return the version of the document that the pillar holds.

    .. code-block:: bash

        salt '*' corral.version
    """
    return document()["document"]


def section(*path: str) -> dict:
    """Return one section of the document, ``section("ceph", "osd")``; it has to be there.

    .. code-block:: bash

        salt hv1.example.net corral.section ceph osd
    """
    found = document()
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        _fail(f"the pillar has no section 'corral:{':'.join(path)}'")
    return found


def states() -> list:
    """Return the states that the document asks for, by its roles and by its sections.

    Tops name the same ones. They are fetched apart from the pillar, though, and a change may come
    between the two; this way the run is whole all the same.

    .. code-block:: bash

        salt hv1.example.net corral.states
    """
    corral = document()
    found = set()
    for role in corral["roles"]:
        if role not in _STATE_OF_ROLE:
            _fail(f"this state tree does not know the role {role!r}; it needs an update")
        found.add(_STATE_OF_ROLE[role])
    for path, state in _STATE_OF_SECTION.items():
        value = corral
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            found.add(state)
    return sorted(found)


def directory() -> str:
    """Return the folder to write to: ``corral_dir`` of the minion's configuration, its grains or
    its pillar, or ``/etc/corral``.

    .. code-block:: bash

        salt hv1.example.net corral.directory
    """  # noqa: D205
    path = __salt__["config.get"]("corral_dir", "/etc/corral")
    if not isinstance(path, str) or not path.startswith("/"):
        _fail(f"corral_dir must be an absolute path, not {path!r}")
    return path.rstrip("/")


def file_name(name: str) -> str:
    """Return ``name`` if it may be the name of a file: no slash, no leading dot, plain letters.

    .. code-block:: bash

        salt hv1.example.net corral.file_name vm-17
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        _fail(f"{name!r} cannot be the name of a file")
    return name


def _fail(message: str) -> None:
    raise CommandExecutionError(f"Corral: {message}. Nothing was changed.")
