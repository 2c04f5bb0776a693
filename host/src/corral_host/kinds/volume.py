"""Volumes: what VMs have as disks, in the pools that Corral made.

Data is what a host must not lose, so:

- A volume has its name when it is complete. While it is filled from an image it has another, and
  what a killed run has left of that is begun anew.
- What is there is never written over, made smaller, or given another format.
- A volume that Corral did not make is adopted when it is just what the document asks for; else it
  is refused.
- Data is removed only by ``ensure: absent`` of the volume itself, only if the volume is Corral's,
  and not while a domain here has it open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from corral_host.errors import BadSpec, HostError
from corral_host.kinds import images, pool_definition
from corral_host.kinds.base import Comparison, Difference, Found, Kind, Spec
from corral_host.kinds.pool import pool_uuid
from corral_host.kinds.volume_convert import check_source
from corral_host.kinds.volume_files import Files
from corral_host.kinds.volume_lvm import LogicalVolumes
from corral_host.kinds.volume_marks import Marks
from corral_host.kinds.volume_rbd import RbdImages
from corral_host.kinds.volume_spec import check_volume, format_of, size_of
from corral_host.kinds.volume_use import Users

if TYPE_CHECKING:
    from corral_host.kinds.volume_store import State, Store
    from corral_host.session import Session


class Volume(Kind):
    """A volume."""

    name: ClassVar[str] = "volume"
    properties: ClassVar[dict[str, str]] = {
        "capacity": "bytes that a guest sees",
        "format": "qcow2 or raw",
        "content": "whose volume it is",
    }

    def __init__(self, session: Session) -> None:
        """List nothing yet."""
        super().__init__(session)
        self._users = Users(session)
        self._stores: dict[str, tuple[dict[str, str], Store]] = {}
        self._fresh: set[str] = set()

    def forget(self) -> None:
        """Drop who uses what; volumes are looked up one by one."""
        self._users.forget()

    def found(self) -> dict[str, Found]:
        """Return all volumes of all pools that are active and can be read."""
        import libvirt  # noqa: PLC0415

        flags = libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE
        found = {}
        for pool in self.session.libvirt().listAllStoragePools(flags):
            try:
                store = self._store_of(pool)
                states = {} if store is None else {one: store.state(one) for one in store.names()}
            except HostError:
                # The pool's own comparison tells what is wrong with it.
                continue
            for name, state in states.items():
                if store is not None and state is not None:
                    key = name if name not in found else f"{pool.name()}/{name}"
                    found[key] = _found(pool.name(), store.place(name), state)
        return found

    def check(self, name: str, spec: Spec) -> None:
        """Raise ``BadSpec``."""
        check_volume(name, spec)

    def compare(self, name: str, spec: Spec) -> Comparison:
        """Compare size and format, and whose it is."""
        wanted = spec["ensure"] == "present"
        if wanted and "unsupported" in spec:
            raise HostError(spec["unsupported"]["code"], spec["unsupported"]["reason"])
        store = self._store(name, spec)
        state = store.state(name) if store is not None else None
        comparison = Comparison(state is not None, wanted)
        if not wanted:
            self._compare_absent(name, spec, store, comparison)
        elif state is not None and store is not None:
            _compare_present(name, spec, store, state, comparison)
        return comparison

    def _compare_absent(
        self, name: str, spec: Spec, store: Store | None, comparison: Comparison
    ) -> None:
        if store is None:
            if Marks(self.session.settings.state_dir, spec["pool"]).get(name) is not None:
                raise HostError(
                    "no_pool",
                    f"the pool {spec['pool']} is not here, so {name} in it cannot be removed",
                )
            return
        if not comparison.present:
            comparison.present = store.partial(name)
            return
        state = store.state(name)
        if state is not None and not state.managed:
            reason = f"{store.place(name)} was not made by Corral: if it can go, remove it by hand"
            comparison.refused.append(Difference("ensure", "made by others", "absent", reason))
            return
        user = self._users.of(store.place(name))
        if user is not None:
            reason = (
                f"the running domain {user[0].name()} has it open: stop it, or detach {user[1]}"
            )
            comparison.refused.append(Difference("ensure", "present", "absent", reason))

    def apply(self, name: str, spec: Spec, comparison: Comparison) -> None:
        """Make, adopt, enlarge or remove the volume."""
        if any(one.property == "ensure" for one in comparison.refused):
            return
        store = self._store(name, spec)
        if store is None:
            raise HostError("no_pool", f"the pool {spec['pool']} of {name} is not on this host")
        form = format_of(spec)
        try:
            if not comparison.wanted:
                store.delete(name)
                return
            if not comparison.present:
                self._make(name, spec, store, form)
                return
            for one in comparison.differences:
                if one.property == "content":
                    store.adopt(name, form)
                if one.property == "capacity":
                    self._grow(name, spec, store, form)
        except OSError as error:
            raise HostError("volume_failed", f"the volume {name}: {error}") from error

    def _make(self, name: str, spec: Spec, store: Store, form: str) -> None:
        image = spec.get("filled_from")
        if image is None:
            store.create(name, spec, form)
            return
        path = images.fetch(self.session.settings.state_dir / "images", image)
        check_source(self.session, path, image, size_of(spec))
        store.fill(name, spec, form, path)

    def _grow(self, name: str, spec: Spec, store: Store, form: str) -> None:
        user = self._users.of(store.place(name))
        if user is None:
            store.grow(name, form, size_of(spec))
        else:
            store.grow_open(name, size_of(spec), *user)

    def _store(self, name: str, spec: Spec) -> Store | None:
        """Return where the volume is or will be; ``None`` when its pool is not on this host."""
        import libvirt  # noqa: PLC0415

        asked = spec.get("pool")
        if not isinstance(asked, str):
            raise BadSpec(f"the volume {name} names no pool")
        try:
            pool = self.session.libvirt().storagePoolLookupByName(asked)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_POOL:
                return None
            raise HostError("volume_failed", f"the pool {asked}: {error}") from error
        if pool.UUIDString() != pool_uuid(asked):
            raise HostError("pool_foreign", f"the pool {asked} of {name} is not Corral's")
        if not pool.isActive():
            raise HostError("pool_inactive", f"the pool {asked} of {name} is not started")
        store = self._store_of(pool)
        if store is None:
            raise HostError("pool_kind", f"the pool {asked} is of a kind that has no such volumes")
        return store

    def _store_of(self, pool: Any) -> Store | None:  # noqa: ANN401
        """Return a pool's volumes, the same as long as the pool's definition is."""
        name = pool.name()
        says = pool_definition.definition(pool.XMLDesc(0))
        known = self._stores.get(name)
        if known is not None and known[0] == says:
            return known[1]
        store: Store
        if says["type"] in ("dir", "fs", "netfs"):
            store = Files(self.session, pool, shared=says["type"] == "netfs")
        elif says["type"] == "logical":
            store = LogicalVolumes(self.session, pool)
        elif says["type"] == "rbd":
            store = RbdImages(self.session, pool)
        else:
            return None
        if says["type"] != "rbd":
            # Once a session: files may have come and gone since libvirt looked.
            store.refresh()
        self._stores[name] = (says, store)
        return store


def _compare_present(
    name: str, spec: Spec, store: Store, state: State, comparison: Comparison
) -> None:
    size, form = size_of(spec), format_of(spec)
    same = state.size == size or (state.size > size and state.size - size < store.slack())
    if not state.managed:
        # On shared storage another host has made it, perhaps before it was enlarged.
        fits = same or (store.shared and state.size < size)
        if state.format != form or not fits:
            reason = (
                f"{store.place(name)} was not made by Corral, and is {state.format} of"
                f" {state.size} bytes: rename it, or remove it if it can go"
            )
            comparison.refused.append(Difference("ensure", "made by others", "present", reason))
            return
        comparison.differences.append(Difference("content", "made by others", "adopted by Corral"))
    if state.format != form:
        reason = "a volume keeps its format: make another one, and copy the data inside a VM"
        comparison.refused.append(Difference("format", state.format, form, reason))
    elif state.size < size or (same and state.untold):
        comparison.differences.append(Difference("capacity", str(state.size), str(size)))
    elif not same:
        reason = "making a volume smaller loses data: ask for at least the size that it has"
        comparison.refused.append(Difference("capacity", str(state.size), str(size), reason))


def _found(pool: str, place: str, state: State) -> Found:
    properties = {"capacity": str(state.size), "format": state.format}
    return Found(state.managed, "present", properties, {"pool": pool, "path": place})
