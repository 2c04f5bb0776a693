"""Starting, stopping and removing domains."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from corral_host.errors import HostError
from corral_host.kinds.base import Difference

if TYPE_CHECKING:
    from collections.abc import Callable

#: How often a domain that is to end is looked at, in seconds.
POLL = 0.2

STATES = ("running", "stopped", "paused")

#: libvirt's reasons of a paused domain that a resume cannot or must not end, by their number.
HELD = {
    2: "it is being migrated",
    3: "it is being saved",
    4: "its memory is being dumped",
    5: "QEMU stopped it after an input or output error: mend its storage, then `virsh resume` it",
    6: "its watchdog stopped it",
    8: "it is shutting down",
    9: "a snapshot of it is being made",
    11: "it is starting",
    12: "it is being migrated",
    13: "its migration failed half-way",
    14: "libvirt failed in the middle of an operation on it",
}
_PAUSED_CRASHED = 10
_OFF_CRASHED = 3


def state_of(domain: Any) -> tuple[str, str | None]:  # noqa: ANN401
    """Return running, paused, stopped or crashed, and why a paused domain must be left alone."""
    import libvirt as lv  # noqa: PLC0415 - hosts without hypervisor role have no python3-libvirt

    state, reason = domain.state()
    if state == lv.VIR_DOMAIN_PAUSED:
        if reason == _PAUSED_CRASHED:
            return "crashed", None
        return "paused", HELD.get(reason)
    if state == lv.VIR_DOMAIN_SHUTOFF:
        return ("crashed" if reason == _OFF_CRASHED else "stopped"), None
    if state == lv.VIR_DOMAIN_CRASHED:
        return "crashed", None
    if state == lv.VIR_DOMAIN_PMSUSPENDED:
        return "paused", "its guest has put it to sleep"
    return "running", None


def compare_state(current: str, held: str | None, wanted: str) -> tuple[Difference | None, bool]:
    """Return the difference in the state, and whether it is one that is refused."""
    if current == wanted or (wanted == "stopped" and current == "crashed"):
        return None, False
    # A domain that is held may always be stopped.
    refused = held is not None and wanted != "stopped"
    return Difference("state", current, wanted, held if refused else None), refused


def set_state(domain: Any, wanted: str, timeout: float) -> None:  # noqa: ANN401
    """Bring a domain into a state. Raises ``HostError`` or libvirt's error."""
    import libvirt as lv  # noqa: PLC0415

    current, _ = state_of(domain)
    if wanted == "stopped":
        stop(domain, timeout)
        return
    if current == "crashed" and domain.isActive():
        domain.destroy()
    if not domain.isActive():
        domain.createWithFlags(lv.VIR_DOMAIN_START_PAUSED if wanted == "paused" else 0)
    elif wanted == "paused" and current == "running":
        domain.suspend()
    elif wanted == "running" and current == "paused":
        domain.resume()


def stop(domain: Any, timeout: float) -> None:  # noqa: ANN401
    """Ask the guest to shut down; after ``timeout`` seconds cut its power."""
    import libvirt as lv  # noqa: PLC0415

    if not domain.isActive():
        return
    if domain.state()[0] != lv.VIR_DOMAIN_PAUSED:
        try:
            # By the guest's agent where it answers, by ACPI else.
            domain.shutdown()
        except lv.libvirtError:
            timeout = 0
        if wait(lambda: not domain.isActive(), timeout):
            return
    try:
        domain.destroyFlags(lv.VIR_DOMAIN_DESTROY_GRACEFUL)
    except lv.libvirtError:
        if domain.isActive():
            domain.destroy()


def wait(done: Callable[[], bool], timeout: float) -> bool:
    """Ask again until it is so or the time is over; returns whether it is so."""
    end = time.monotonic() + timeout
    while not done():
        if time.monotonic() >= end:
            return False
        time.sleep(POLL)
    return True


def remove(domain: Any, timeout: float) -> None:  # noqa: ANN401
    """Stop a domain and take away its definition, and what libvirt keeps beside it; no disk."""
    import libvirt as lv  # noqa: PLC0415

    stop(domain, timeout)
    if not _exists(domain):
        return
    flags = (
        lv.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | lv.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | lv.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        | lv.VIR_DOMAIN_UNDEFINE_NVRAM
        # Since libvirt 8.9.
        | getattr(lv, "VIR_DOMAIN_UNDEFINE_TPM", 0)
    )
    try:
        domain.undefineFlags(flags)
    except lv.libvirtError as error:
        if error.get_error_code() not in (lv.VIR_ERR_INVALID_ARG, lv.VIR_ERR_NO_SUPPORT):
            raise
        # Containers have nothing of that, and know no flags.
        domain.undefine()
    if _exists(domain):
        raise HostError("not_removed", f"domain {domain.name()} is still defined")


def _exists(domain: Any) -> bool:  # noqa: ANN401
    import libvirt as lv  # noqa: PLC0415

    try:
        domain.connect().lookupByUUID(domain.UUID())
    except lv.libvirtError as error:
        if error.get_error_code() == lv.VIR_ERR_NO_DOMAIN:
            return False
        raise
    return True
