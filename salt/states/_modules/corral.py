"""What Corral says of this minion, by its pillar, and how this host differs from it.

States and people name things; what is wanted of them, secrets among it, is read from the pillar
here and goes to the engine of ``corral_host`` alone, not into a job's arguments or results. A
pillar that is missing, broken or another node's fails in one place and with one wording.

Called by itself a function sees the pillar that the minion has in memory: saltutil.refresh_pillar.
"""

from __future__ import annotations

import configparser
import json
from pathlib import Path

from salt.exceptions import CommandExecutionError

__func_alias__ = {"list_": "list", "apply_": "apply"}

#: The state of each role. A role that is not here needs a newer state tree.
_STATE_OF_ROLE = {
    "ceph_mon": "corral.ceph.mon",
    "ceph_osd": "corral.ceph.osd",
    "hypervisor": "corral.hypervisor",
}
_STATE_OF_SECTION = {
    ("ceph", "client"): "corral.ceph.client",
    ("ceph", "mon"): "corral.ceph.mon",
    ("ceph", "osd"): "corral.ceph.osd",
    ("hypervisor",): "corral.hypervisor",
}
#: The order of a run: what is made, in turn; domains go first, and what they need goes at last.
_CEPH = ("ceph_config", "ceph_keyring", "ceph_mon", "ceph_key", "ceph_osd", "ceph_pool")
_ORDER = [
    ("domain", False),
    *((kind, True) for kind in (*_CEPH, "secret", "bridge", "pool", "volume", "domain")),
    *((kind, False) for kind in ("volume", "bridge", "pool", "secret", *reversed(_CEPH))),
]
#: Salt numbers states that have no order of their own from 10000 on.
FIRST = 20100
_REMOVED = "corral: domains are removed"


def document() -> dict:
    """Return the document's version (``document``), ``node``, ``roles`` and ``site``.

    Raises ``CommandExecutionError`` when the pillar holds no good one.

    .. code-block:: bash

        salt hv1.example.net corral.document
    """
    corral = _document()
    return {key: corral.get(key) for key in ("document", "node", "roles", "site")}


def version() -> str:
    """Return the version of the document that the pillar holds."""
    return _document()["document"]


def states() -> list:
    """Return the states that the document asks for, by its roles and by its sections.

    Tops name the same ones. They are fetched apart from the pillar, though, and a change may come
    between the two; this way the run is whole all the same.

    .. code-block:: bash

        salt hv1.example.net corral.states
    """
    corral = _document()
    found = set()
    for role in corral["roles"]:
        if role not in _STATE_OF_ROLE:
            _fail(f"this state tree does not know the role {role!r}; it needs an update")
        found.add(_STATE_OF_ROLE[role])
    for path, state in _STATE_OF_SECTION.items():
        if _section(corral, *path):
            found.add(state)
    return sorted(found)


def needs() -> list:
    """Return what packages and services are for: the states, and the kinds of storage pools."""
    pools = _section(_document(), "hypervisor", "pools").values()
    return sorted({*states(), *(pool["kind"] for pool in pools if pool.get("kind"))})


def things() -> dict:
    """Return the names of all things by kind: ``{"domain": {"vm-7": "present"}}``.

    .. code-block:: bash

        salt hv1.example.net corral.things
    """
    return {
        kind: {name: spec.get("ensure") for name, spec in specs.items()}
        for kind, specs in _specs(_document()).items()
    }


def build(section: str, *kinds: str) -> dict:
    """Return the states of these kinds for the state tree. The document must have the section.

    They come after all states of your own (``order`` from 20000 on), so that repositories and
    networks are there, and in the order in which a host needs them, whatever sls they are in.
    """
    if not _section(_document(), *section.split(":")):
        _fail(f"the pillar has no section 'corral:{section}'")
    found = things()
    removed = [name for name, ensure in found["domain"].items() if ensure == "absent"]
    states = {}
    for kind in kinds:
        for name, ensure in found[kind].items():
            require = [{"corral": "corral: check"}]
            if ensure == "absent" and kind in ("volume", "bridge") and removed:
                require.append({"test": _REMOVED})
            order = _ORDER.index((kind, ensure == "present"))
            states[f"corral: {kind} {name}"] = {
                f"corral.{kind}": [{"name": name}, {"order": FIRST + order}, {"require": require}],
            }
    if "domain" in kinds and removed:
        require = [{"corral": f"corral: domain {name}"} for name in removed]
        order = FIRST + _ORDER.index(("domain", True))
        states[_REMOVED] = {"test.nop": [{"order": order}, {"require": require}]}
    return states


def check() -> list:
    """Return what is wrong with the document, ``[{"kind", "name", "code", "message"}]``.

    Asks the engine about all of it; nothing on the host is looked at or touched.

    .. code-block:: bash

        salt hv1.example.net corral.check
    """
    corral = _document()
    wrong = __salt__["corral_host.request"]("check", things=_specs(corral))
    if not wrong:
        # For the state of the same run: libvirt takes 25 ms for each domain that is new to it.
        __context__["corral.checked"] = corral["document"]
    return wrong


def list_(kind: str) -> dict:
    """Return all things of a kind that are on the host, Corral's and others', by name.

    .. code-block:: bash

        salt hv1.example.net corral.list domain
    """
    return __salt__["corral_host.request"]("list", kind=kind)


def compare(kind: str, name: str | None = None) -> dict:
    """Compare the things of a kind, or one of them, with the document. Changes nothing.

    Returns by name ``present``, ``wanted``, ``differences``, ``pending``, ``refused``, ``error``.

    .. code-block:: bash

        salt hv1.example.net corral.compare volume
        salt hv1.example.net corral.compare domain vm-7
    """
    specs = _specs(_document()).get(kind, {}) if name is None else {name: _spec(kind, name)}
    return __salt__["corral_host.request"]("compare", kind=kind, things=specs) if specs else {}


def apply_(kind: str, name: str) -> dict:
    """Make one thing what the document says, and return how it was before. For states only.

    Raises ``CommandExecutionError`` when that cannot be, or not as a whole; and outside of a run,
    where the pillar may be an old one. ``salt hv1.example.net state.sls_id 'corral: domain vm-7'
    corral.hypervisor`` applies one thing.
    """
    if "corral_host.kept" not in __context__:
        _fail(f"things are applied by states: state.sls_id 'corral: {kind} {name}' corral.<role>")
    spec = _spec(kind, name)
    return __salt__["corral_host.request"]("apply", kind=kind, name=name, spec=spec)


def status() -> dict:
    """Return what was applied at last, ``applied``, and what waits for a restart, ``pending``.

    .. code-block:: bash

        salt '*' corral.status
    """
    folder = _state_dir()
    return {name: _read(folder / f"{name}.json") for name in ("applied", "pending")}


def facts() -> dict:
    """Return the host's cores, memory, disks and versions of libvirt, QEMU, Ceph and others.

    .. code-block:: bash

        salt '*' corral.facts
    """
    return __salt__["corral_host.observe"]()["facts"]


def _state_dir() -> Path:
    """Return where the engine notes what it applied: as in its own settings."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read("/etc/corral/host.conf")
    return Path(parser.get("host", "state_dir", fallback="/var/lib/corral"))


def _read(file: Path) -> dict | None:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def _document() -> dict:
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


def _fail(message: str) -> None:
    raise CommandExecutionError(f"Corral: {message}. Nothing was changed.")


def _section(corral: dict, *path: str) -> dict:
    return __utils__["corral_specs.section"](corral, *path)


def _specs(corral: dict) -> dict:
    return __utils__["corral_specs.specs"](corral)


def _spec(kind: str, name: str) -> dict:
    spec = _specs(_document()).get(kind, {}).get(name)
    if spec is None:
        _fail(f"the document has no {kind} {name!r}")
    return spec
