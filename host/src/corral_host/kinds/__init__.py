"""The kinds of things, in the order in which a host needs them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from corral_host.errors import HostError

if TYPE_CHECKING:
    from corral_host.kinds.base import Kind

#: Module of ``corral_host.kinds`` by kind; loaded when first asked for.
KINDS = {
    "ceph_config": "ceph_config",
    "ceph_keyring": "ceph_keyring",
    "ceph_mon": "ceph_mon",
    "ceph_key": "ceph_key",
    "ceph_osd": "ceph_osd",
    "ceph_pool": "ceph_pool",
    "secret": "secret",
    "bridge": "bridge",
    "pool": "pool",
    "volume": "volume",
    "domain": "domain",
    "document": "document",
}


def kind_class(name: str) -> type[Kind]:
    """Return the class of a kind: the module ``domain`` has a class ``Domain``."""
    if name not in KINDS:
        raise HostError("unknown_kind", f"there is no kind {name!r}; there are {', '.join(KINDS)}")
    module = import_module(f"corral_host.kinds.{KINDS[name]}")
    return getattr(module, "".join(part.capitalize() for part in name.split("_")))
