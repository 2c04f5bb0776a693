"""The domains of this host: one listing of each of libvirt's drivers."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corral_host import libvirt_xml as x
from corral_host.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corral_host.kinds.base import Spec
    from corral_host.session import Session

#: Containers are another driver of libvirt.
LXC = "lxc:///system"

#: Where libvirt's drivers write the process id of a domain that runs.
_PIDS = "/run/libvirt"


@contextmanager
def said(what: str) -> Iterator[None]:
    """Turn libvirt's errors into ours, with a sentence that says what was not possible."""
    try:
        yield
    except HostError:
        raise
    except Exception as error:
        # Hosts without hypervisor role have no python3-libvirt.
        if type(error).__name__ != "libvirtError":
            raise
        raise HostError("libvirt_error", f"{what}: {error}") from error


class Thing:
    """One domain, as libvirt has it now; each text is read once."""

    def __init__(self, domain: Any, driver: str) -> None:  # noqa: ANN401
        """``domain`` is libvirt's object, ``driver`` is qemu or lxc."""
        self.domain = domain
        self.driver = driver
        self.name: str = domain.name()
        self.uuid: str = domain.UUIDString()

    @cached_property
    def active(self) -> bool:
        """Whether it runs, or is paused."""
        return bool(self.domain.isActive())

    @cached_property
    def persistent(self) -> bool:
        """Whether it is defined; one that was undefined while it ran is not."""
        return bool(self.domain.isPersistent())

    @cached_property
    def inactive(self) -> str:
        """Its persistent XML."""
        import libvirt as lv  # noqa: PLC0415

        return self.domain.XMLDesc(lv.VIR_DOMAIN_XML_INACTIVE)

    @cached_property
    def live(self) -> str:
        """The XML of what runs."""
        return self.domain.XMLDesc(0)

    @cached_property
    def managed(self) -> bool:
        """Whether Corral made it."""
        return (
            x.VM in self.inactive and x.vm_metadata(x.parse(self.inactive, self.name)) is not None
        )

    @cached_property
    def instance(self) -> str:
        """What tells this run of the domain from others, those before a reboot among them."""
        try:
            since = Path(_PIDS, self.driver, f"{self.name}.pid").stat().st_mtime_ns
        except OSError:
            since = 0
        return f"{self.domain.ID()}/{since}"


class DomainHost:
    """All domains of the host, listed once."""

    def __init__(self, session: Session) -> None:
        """Nothing is asked yet."""
        self.session = session
        self._things: dict[str, Thing] | None = None
        self._lxc = True
        self._versions: dict[str, int] = {}

    def forget(self) -> None:
        """List anew when next asked."""
        self._things = None

    def connection(self, driver: str) -> Any:  # noqa: ANN401
        """Return the connection of a driver. Raises ``HostError``."""
        return self.session.libvirt(LXC if driver == "lxc" else None)

    def version(self, driver: str) -> int:
        """Return the version of libvirt: its own XML may look otherwise after an upgrade."""
        if driver not in self._versions:
            self._versions[driver] = self.connection(driver).getLibVersion()
        return self._versions[driver]

    def things(self) -> dict[str, Thing]:
        """Return all domains by name."""
        if self._things is None:
            things = {}
            # QEMU's last: a name that both have is a QEMU domain.
            for driver in ("lxc", "qemu"):
                for domain in self._domains(driver):
                    thing = Thing(domain, driver)
                    things[thing.name] = thing
            self._things = things
        return self._things

    def _domains(self, driver: str) -> list[Any]:
        if driver == "lxc":
            if not self._lxc:
                return []
            try:
                connection = self.connection(driver)
            except HostError:
                # Most hosts have no driver for containers.
                self._lxc = False
                return []
        else:
            connection = self.connection(driver)
        with said("domains cannot be listed"):
            return connection.listAllDomains()

    def find(self, name: str, spec: Spec) -> Thing | None:
        """Return the domain of a spec, or nothing when there is none.

        Raises ``HostError`` when the name or the uuid is that of a domain which is not this one.
        """
        things = self.things()
        uuid = str(spec.get("uuid") or "").lower()
        thing = things.get(name)
        if thing is not None:
            with said(f"domain {name} cannot be read"):
                if not thing.managed:
                    raise HostError(
                        "refused",
                        f"the domain {name} is there and is not Corral's: it is left alone. "
                        "Rename or remove it by hand",
                    )
            if uuid and thing.uuid != uuid:
                raise HostError(
                    "refused",
                    f"the domain {name} is there with the uuid {thing.uuid}, not {uuid}: "
                    "it is another one and is left alone",
                )
            return thing
        if uuid and spec.get("ensure") == "present":
            other = next((one.name for one in things.values() if one.uuid == uuid), None)
            if other is not None:
                raise HostError(
                    "refused",
                    f"the uuid {uuid} of the domain {name} is that of the domain {other} here, "
                    "which is left alone. Rename it by hand if it is the same",
                )
        return None
